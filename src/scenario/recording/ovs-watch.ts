// What recordings of a datapath hold beyond frames: flows given as netlink attributes, `ovs-dpctl dump-flows` and its counters after a case,
// upcalls, and frames at internal ports, which have no wire.
//
// Not compared: `used:` to better than two seconds (the recorded listing was taken some time after the step), and the hash of an upcall,
// which is random per boot. Of a datapath's counters only the numbers of flows and masks.

import type { SkBuff } from '../../../driver/skb.ts';
import { NF_ACCEPT } from '../../stack/netfilter/hooks.ts';
import { attachDatapaths } from '../../stack/openvswitch/attach.ts';
import type { Datapath } from '../../stack/openvswitch/datapath.ts';
import { readAttrs } from '../../stack/openvswitch/nlattr.ts';
import type { NlAttr } from '../../stack/openvswitch/nlattr.ts';
import { formatFlow } from '../../stack/openvswitch/odp-flow.ts';
import { NO_PORT_NAMES } from '../../stack/openvswitch/odp-key.ts';
import { KEY, PACKET, PACKET_CMD_MISS } from '../../stack/openvswitch/uapi.ts';
import type { Upcall } from '../../stack/openvswitch/upcall.ts';
import { datapathLines } from '../commands/ovs-dpctl/ports.ts';
import type { Testbed } from '../testbed.ts';
import { compareLists } from './compare.ts';
import { fromHex, toHex } from './format.ts';
import type { RecordingStep } from './format.ts';

/** Attributes by name, nested ones inside, others in hex. */
type AttrTree = { [name: string]: string | AttrTree };

const KEY_NAMES = new Map<number, string>(Object.entries(KEY).map(([name, type]) => [type, name]));
const PACKET_NAMES = new Map<number, string>(
  Object.entries(PACKET).map(([name, type]) => [type, name]),
);
/** The recorder's netlink port. */
const LISTENER_PID = 1;

export class OvsWatch {
  private readonly testbed: Testbed;
  private upcalls: AttrTree[] = [];

  constructor(testbed: Testbed) {
    this.testbed = testbed;
  }

  /** Whether a step says anything of a datapath. */
  static concerns(step: RecordingStep): boolean {
    return step.dump !== undefined || step.upcalls !== undefined;
  }

  get datapath(): Datapath | null {
    return attachDatapaths(this.testbed.stack)?.list()[0] ?? null;
  }

  /** Notes the frames that the host receives on an internal port. */
  watchInternal(device: string, onFrame: (hex: string) => void): void {
    const { stack } = this.testbed;
    const dev = stack.links.byName(device);
    if (dev === null) return;
    const run = (skb: SkBuff): number => {
      const end = skb.at + skb.lenBytes;
      const hex = toHex(skb.bytes, skb.macAt, end);
      const tag = skb.vlanTci < 0 ? '' : `8100${skb.vlanTci.toString(16).padStart(4, '0')}`;
      onFrame(hex.slice(0, 24) + tag + hex.slice(24));
      return NF_ACCEPT;
    };
    stack.hooks.registerIngress(dev, { name: 'internal-watch', priority: -1000, run });
  }

  /** Sends a frame out of an internal port's device, as a program on the host would. */
  sendInternal(device: string, frame: Uint8Array): void {
    const { stack } = this.testbed;
    const dev = stack.links.byName(device);
    const skb = stack.kernel.alloc_skb(frame.length);
    if (dev === null || skb === null) return;
    skb.bytes.set(frame, skb.at);
    skb.lenBytes = frame.length;
    skb.macAt = skb.at;
    stack.xmit(skb, dev);
  }

  /** Installs a flow given as attributes; 0 or −errno. */
  put({ key, mask, actions }: { key: string; mask: string; actions: string }): number {
    return this.datapath?.flowNew(fromHex(key), fromHex(mask), fromHex(actions), true) ?? -1;
  }

  /** Before a step: listens for upcalls where the recording did. */
  begin(step: RecordingStep): void {
    this.upcalls = [];
    const { datapath } = this;
    if (datapath === null) return;
    const listens = step.upcalls !== undefined;
    for (const vport of datapath.ports.values()) vport.upcallPid = listens ? LISTENER_PID : 0;
    datapath.listeners.clear();
    if (!listens) return;
    const note = (upcall: Upcall): void => {
      this.upcalls.push(treeOf(upcall));
    };
    datapath.listeners.set(LISTENER_PID, note);
    for (const pid of actionPids(datapath)) datapath.listeners.set(pid, note);
  }

  /** After a step: what the recording says and the model does not, or the other way round. */
  differences(step: RecordingStep): { what: 'dump' | 'upcall'; expected: string; found: string }[] {
    const out: { what: 'dump' | 'upcall'; expected: string; found: string }[] = [];
    const { datapath } = this;
    const report = (what: 'dump' | 'upcall', expected: string[], found: string[]): void => {
      const same = what === 'dump' ? sameDump : (a: string, b: string): boolean => a === b;
      const { missing, extra } = compareLists(expected, found, same);
      for (let i = 0; i < Math.max(missing.length, extra.length); i++)
        out.push({ what, expected: missing[i] ?? '', found: extra[i] ?? '' });
    };
    if (step.dump !== undefined) {
      const style = { verbose: false, names: NO_PORT_NAMES };
      const flows = datapath?.table.flows() ?? [];
      const { nowPs } = this.testbed;
      report(
        'dump',
        step.dump,
        flows.map((flow) => formatFlow(flow, nowPs, style)),
      );
    }
    if (step.dp !== undefined)
      report('dump', counts(step.dp), counts(datapath === null ? [] : datapathLines(datapath)));
    if (step.upcalls !== undefined) {
      const canonical = (tree: unknown): string => JSON.stringify(tree);
      const expected = step.upcalls.map((one) => canonical(withoutHash(one as AttrTree)));
      report('upcall', expected, this.upcalls.map(canonical));
    }
    return out;
  }
}

/** Numbers of flows and masks: the other counters go on over cases that a recording may have left out. */
function counts(lines: readonly string[]): string[] {
  return lines.flatMap((line) => /flows: \d+|total:\d+/.exec(line) ?? []);
}

/** Dump lines agree but for the time since the last packet, to two seconds. */
function sameDump(expected: string, found: string): boolean {
  const used = /, used:([\d.]+)s/;
  const [a, b] = [used.exec(expected)?.[1], used.exec(found)?.[1]];
  if (a !== undefined && b !== undefined && Math.abs(Number(a) - Number(b)) > 2) return false;
  return expected.replace(used, ', used') === found.replace(used, ', used');
}

/** Netlink ports that userspace actions name. */
function actionPids(datapath: Datapath): number[] {
  return datapath.table
    .flows()
    .flatMap(({ actions }) => actions)
    .flatMap((action) => (action.kind === 'userspace' ? [action.pid] : []));
}

function treeOf({ cmd, attrs }: Upcall): AttrTree {
  const tree: AttrTree = { cmd: cmd === PACKET_CMD_MISS ? 'MISS' : 'ACTION' };
  for (const { type, value } of attrs) {
    const name = PACKET_NAMES.get(type) ?? String(type);
    if (name === 'HASH') continue;
    tree[name] = name === 'KEY' ? keyTree(readAttrs(value) ?? []) : toHex(value);
  }
  return tree;
}

function keyTree(attrs: readonly NlAttr[]): AttrTree {
  const tree: AttrTree = {};
  for (const { type, value } of attrs) {
    const name = KEY_NAMES.get(type) ?? String(type);
    if (name === 'ENCAP') tree[name] = keyTree(readAttrs(value) ?? []);
    else if (name === 'TUNNEL')
      tree[name] = Object.fromEntries(
        (readAttrs(value) ?? []).map((one) => [String(one.type), toHex(one.value)]),
      );
    else tree[name] = toHex(value);
  }
  return tree;
}

function withoutHash(tree: AttrTree): AttrTree {
  return Object.fromEntries(Object.entries(tree).filter(([name]) => name !== 'HASH'));
}
