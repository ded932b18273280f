// Steps that netfilter adds to a packet's trace (hw/observer.ts TraceSink); numbers from 200 on.
// Names and fields of each are in src/report/trace-schema.ts.

export const TRACE_CONNTRACK = 200;
export const TRACE_RULE = 201;
export const TRACE_CHAIN_VERDICT = 202;
export const TRACE_FLOW_ADD = 203;
export const TRACE_FLOW_REFUSED = 204;
export const TRACE_FAST_PATH = 205;
export const TRACE_FAST_PASS = 206;
export const TRACE_FLOW_TEARDOWN = 207;
export const TRACE_NAT = 208;
