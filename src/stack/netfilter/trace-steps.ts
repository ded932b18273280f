// Steps that netfilter adds to a packet's trace (hw/observer.ts TraceSink); numbers from 200 on.

export const TRACE_CONNTRACK = 200;
export const TRACE_RULE = 201;
export const TRACE_CHAIN_VERDICT = 202;
export const TRACE_FLOW_ADD = 203;
export const TRACE_FLOW_REFUSED = 204;
export const TRACE_FAST_PATH = 205;
export const TRACE_FAST_PASS = 206;
export const TRACE_FLOW_TEARDOWN = 207;

/** Name and meaning of `a`, `b`, `c` and the text by step. */
export const NETFILTER_TRACE_STEPS: readonly { step: number; name: string; meaning: string }[] = [
  {
    step: TRACE_CONNTRACK,
    name: 'conntrack',
    meaning:
      'a: row of the connection (−1 none), b: ctinfo, c: hook; text: new, established, invalid',
  },
  {
    step: TRACE_RULE,
    name: 'rule',
    meaning: 'a rule matched; a: its handle; text: table and chain',
  },
  {
    step: TRACE_CHAIN_VERDICT,
    name: 'chain',
    meaning: 'verdict of a base chain; a: 0 drop, 1 accept, 2 stolen; text: table and chain',
  },
  { step: TRACE_FLOW_ADD, name: 'flow-add', meaning: 'flow add made a flow; a: its id' },
  { step: TRACE_FLOW_REFUSED, name: 'flow-refused', meaning: 'flow add refused; text: the reason' },
  { step: TRACE_FAST_PATH, name: 'fast-path', meaning: 'flowtable hit; a: flow, b: direction' },
  { step: TRACE_FAST_PASS, name: 'fast-pass', meaning: 'flowtable let it go; text: the reason' },
  {
    step: TRACE_FLOW_TEARDOWN,
    name: 'flow-teardown',
    meaning: 'the packet ended its flow; a: flow; text: the cause',
  },
];
