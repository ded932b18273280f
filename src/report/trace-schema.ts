// The steps of a packet's trace as `--trace` writes them: a name, and named fields in place of the three integers that the
// model emits. docs/trace.md is made from this table (a test checks it).

import { DROP_REASONS, MISS_REASONS } from '../../hw/pipeline/outcome.ts';
import { TraceStep as Hw } from '../../hw/trace.ts';
import { HOOK_NAMES } from '../stack/netfilter/hooks.ts';
import {
  TRACE_CHAIN_VERDICT,
  TRACE_CONNTRACK,
  TRACE_FAST_PASS,
  TRACE_FAST_PATH,
  TRACE_FLOW_ADD,
  TRACE_FLOW_REFUSED,
  TRACE_FLOW_TEARDOWN,
  TRACE_NAT,
  TRACE_RULE,
} from '../stack/netfilter/trace-steps.ts';
import { STACK_DROPS } from '../stack/outcome.ts';
import { TraceStep as Stack } from '../stack/trace-steps.ts';

/** Version of the record's form. */
export const TRACE_SCHEMA = 'flowtwin-trace/1';

/** How a field is written. */
export type FieldForm = 'number' | 'hex' | 'miss' | 'drop' | 'stack-drop' | 'hook' | 'verdict';

export interface StepForm {
  name: string;
  /** One sentence. */
  means: string;
  /** Fields for a, b and c; those left out are not written. */
  fields: readonly (readonly [name: string, form: FieldForm])[];
}

const n = (name: string): [string, FieldForm] => [name, 'number'];

/** By step number: the device below 100, the IP layer from 100, netfilter from 200. */
export const STEP_FORMS: Readonly<Record<number, StepForm>> = {
  [Hw.FRAME_RECEIVED]: {
    name: 'frame-received',
    means: 'the last bit arrived; the frame is in the packet buffer',
    fields: [n('port'), n('lenBytes'), n('bufferBytes')],
  },
  [Hw.PARSED]: {
    name: 'parsed',
    means: 'the parser filled the flow key',
    fields: [['flags', 'hex'], n('family'), n('headers')],
  },
  [Hw.TCAM_LOOKUP]: {
    name: 'tcam-lookup',
    means: 'ternary stage: position of the entry hit, or -1',
    fields: [n('position'), n('verdict')],
  },
  [Hw.FLOW_LOOKUP]: {
    name: 'flow-lookup',
    means: 'exact-match stage: handle of the entry hit, or -1 and why it missed',
    fields: [n('handle'), ['miss', 'miss']],
  },
  [Hw.ACTION]: {
    name: 'action',
    means: 'the actions of the entry were applied',
    fields: [n('verdict'), n('egressPort'), ['actionFlags', 'hex']],
  },
  [Hw.QUEUE_CHOSEN]: {
    name: 'queue-chosen',
    means: 'receive queue by RSS hash and indirection table, or by a rule',
    fields: [n('queue'), ['rssHash', 'hex'], n('rssType')],
  },
  [Hw.RX_WAITING]: {
    name: 'rx-waiting',
    means: 'no descriptor free: the frame waits in the packet buffer',
    fields: [n('queue'), n('waitingBytes')],
  },
  [Hw.RX_DESCRIPTOR]: {
    name: 'rx-descriptor',
    means: 'descriptors taken for the DMA of the frame',
    fields: [n('queue'), n('descriptor'), n('descriptors')],
  },
  [Hw.RX_PUBLISHED]: {
    name: 'rx-published',
    means: 'frame and descriptor write-back are in host memory',
    fields: [n('queue'), n('descriptor'), ['miss', 'miss']],
  },
  [Hw.INTERRUPT]: {
    name: 'interrupt',
    means: 'MSI-X raised',
    fields: [n('function'), n('vector')],
  },
  [Hw.TX_FETCHED]: {
    name: 'tx-fetched',
    means: 'descriptor and frame were read from host memory',
    fields: [n('queue'), n('descriptor'), n('lenBytes')],
  },
  [Hw.EGRESS_START]: {
    name: 'egress-start',
    means: 'first bit on the wire',
    fields: [n('port'), n('queue'), n('handle')],
  },
  [Hw.EGRESS_END]: {
    name: 'egress-end',
    means: 'last bit on the wire',
    fields: [n('port'), n('lenBytes')],
  },
  [Hw.DROP]: {
    name: 'device-drop',
    means: 'the device dropped it',
    fields: [n('port'), ['reason', 'drop']],
  },
  [Hw.STAGE_LOOKUP]: {
    name: 'stage-lookup',
    means: 'staged tables: number of the table, and of its entry that matched, or -1',
    fields: [n('table'), n('entry')],
  },
  [Hw.COPY]: {
    name: 'copy',
    means: 'staged tables sent a copy: 0 mirror, 1 sample, 2 group; port -1 is the host',
    fields: [n('port'), n('lenBytes'), n('kind')],
  },
  [Stack.RECEIVE]: {
    name: 'stack-receive',
    means: 'the driver gave it to the stack',
    fields: [n('ifindex'), ['ethertype', 'hex']],
  },
  [Stack.VLAN_RECEIVE]: {
    name: 'vlan-receive',
    means: 'its tag leads to a VLAN device',
    fields: [n('ifindex'), n('vlanId')],
  },
  [Stack.HOOK]: {
    name: 'hook',
    means: 'the netfilter hooks of one point answered',
    fields: [
      ['hook', 'hook'],
      ['verdict', 'verdict'],
    ],
  },
  [Stack.ROUTE]: {
    name: 'route',
    means: 'routing decision',
    fields: [n('ifindex'), n('generation')],
  },
  [Stack.LOCAL]: { name: 'local', means: 'delivered to this host', fields: [n('protocol')] },
  [Stack.FORWARD]: {
    name: 'forward',
    means: 'forwarded by the classic path',
    fields: [n('ifindex'), n('ttl')],
  },
  [Stack.NEIGH_QUEUED]: {
    name: 'neigh-queued',
    means: 'waits for the address of its next hop',
    fields: [n('ifindex')],
  },
  [Stack.XMIT]: {
    name: 'xmit',
    means: 'given to the device for transmission',
    fields: [n('ifindex'), n('lenBytes')],
  },
  [Stack.DROP]: {
    name: 'stack-drop',
    means: 'software dropped it',
    fields: [['reason', 'stack-drop']],
  },
  [Stack.FRAGMENT]: {
    name: 'fragment',
    means: 'cut into fragments',
    fields: [n('maxBytes'), n('fragments')],
  },
  [Stack.REASSEMBLY]: {
    name: 'reassembly',
    means: 'fragment: 0 waits, 1 packet complete, 2 refused',
    fields: [n('result'), n('lenBytes')],
  },
  [Stack.ICMP_SENT]: {
    name: 'icmp-sent',
    means: 'the host answered with an ICMP error',
    fields: [n('type'), n('code')],
  },
  [TRACE_CONNTRACK]: {
    name: 'conntrack',
    means: 'connection tracking placed it',
    fields: [n('entry'), n('ctinfo'), ['hook', 'hook']],
  },
  [TRACE_RULE]: { name: 'rule', means: 'a rule matched', fields: [n('handle')] },
  [TRACE_CHAIN_VERDICT]: {
    name: 'chain',
    means: 'verdict of a base chain',
    fields: [['verdict', 'verdict']],
  },
  [TRACE_FLOW_ADD]: { name: 'flow-add', means: '`flow add` made a flow', fields: [n('flow')] },
  [TRACE_FLOW_REFUSED]: {
    name: 'flow-refused',
    means: '`flow add` refused; text says which condition',
    fields: [],
  },
  [TRACE_FAST_PATH]: {
    name: 'fast-path',
    means: 'the software flowtable forwarded it',
    fields: [n('flow'), n('direction')],
  },
  [TRACE_FAST_PASS]: {
    name: 'fast-pass',
    means: 'the software flowtable let it go to the classic path; text says why',
    fields: [],
  },
  [TRACE_FLOW_TEARDOWN]: {
    name: 'flow-teardown',
    means: 'the packet ended its flow; text says why',
    fields: [n('flow')],
  },
  [TRACE_NAT]: {
    name: 'nat',
    means: 'NAT decided one end of its connection: text says source, destination or kept',
    fields: [n('entry'), n('end')],
  },
};

const VERDICTS = ['drop', 'accept', 'stolen'];

/** A field's value for JSON. */
export function fieldValue(form: FieldForm, value: number): number | string {
  switch (form) {
    case 'number':
      return value;
    case 'hex':
      return `0x${(value >>> 0).toString(16)}`;
    case 'miss':
      return MISS_REASONS[value]?.name ?? value;
    case 'drop':
      return DROP_REASONS[value]?.name ?? value;
    case 'stack-drop':
      return STACK_DROPS[value]?.name ?? value;
    case 'hook':
      return HOOK_NAMES[value] ?? 'ingress';
    case 'verdict':
      return VERDICTS[value] ?? value;
  }
}
