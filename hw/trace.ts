// Steps of a packet inside the device, for traces: numbers, names and the meaning of the three arguments.
// The device emits a step only when `nic.trace` is set. Steps of the stack continue from 100 (src/stack).

export const TraceStep = {
  FRAME_RECEIVED: 1,
  PARSED: 2,
  TCAM_LOOKUP: 3,
  FLOW_LOOKUP: 4,
  ACTION: 5,
  QUEUE_CHOSEN: 6,
  RX_WAITING: 7,
  RX_DESCRIPTOR: 8,
  RX_PUBLISHED: 9,
  INTERRUPT: 10,
  TX_FETCHED: 11,
  EGRESS_START: 12,
  EGRESS_END: 13,
  DROP: 14,
  STAGE_LOOKUP: 15,
  COPY: 16,
  STEERED: 17,
} as const;
export type TraceStep = (typeof TraceStep)[keyof typeof TraceStep];

/** Name and meaning of (a, b, c) for each TraceStep, by number. */
export const TRACE_STEPS: readonly {
  name: string;
  a: string;
  b: string;
  c: string;
}[] = [
  { name: 'none', a: '', b: '', c: '' },
  {
    name: 'frame-received',
    a: 'port',
    b: 'frame bytes without FCS',
    c: 'packet buffer bytes in use',
  },
  { name: 'parsed', a: 'parse flags', b: 'IP family or 0', c: 'headers beyond Ethernet' },
  { name: 'tcam-lookup', a: 'position hit or -1', b: 'verdict or -1', c: '' },
  { name: 'flow-lookup', a: 'handle found or -1', b: 'miss reason (0: hit)', c: '' },
  { name: 'action', a: 'verdict', b: 'egress port or -1', c: 'action flags' },
  { name: 'queue-chosen', a: 'queue', b: 'RSS hash', c: 'RSS type' },
  { name: 'rx-waiting', a: 'queue', b: 'bytes waiting in the port', c: '' },
  { name: 'rx-descriptor', a: 'queue', b: 'first descriptor', c: 'descriptors used' },
  { name: 'rx-published', a: 'queue', b: 'last descriptor', c: 'miss reason' },
  { name: 'interrupt', a: 'function', b: 'vector', c: '' },
  { name: 'tx-fetched', a: 'queue', b: 'last descriptor', c: 'frame bytes' },
  { name: 'egress-start', a: 'port', b: 'queue or -1', c: 'flow handle or -1' },
  { name: 'egress-end', a: 'port', b: 'frame bytes', c: '' },
  { name: 'drop', a: 'port', b: 'drop reason', c: '' },
  { name: 'stage-lookup', a: 'table', b: 'entry hit or -1', c: '' },
  { name: 'copy', a: 'port or -1 for the host', b: 'bytes', c: 'kind' },
  { name: 'steered', a: 'mechanism', b: 'filter or -1', c: 'queue, -1: dropped' },
];
