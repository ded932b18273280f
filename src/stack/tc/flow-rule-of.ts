// A tc filter as the flow_rule that drivers get: flower's keys with the kernel's dissector bits, actions one by one
// (tc_setup_offload_action of Linux 6.1; reference/offload/offsim-flower).
//
// IPv4 and IPv6 addresses share storage in the kernel: an address match shows under both keys where its bytes reach into both,
// and only control.addrType says which is meant. Control words other than gact's are not told to drivers.

import * as R from '../../../driver/flow-rule.ts';
import type { FlowActionEntry, FlowMatch, FlowRule, KeyMask } from '../../../driver/flow-rule.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import type { Action, FieldMatch, FieldName } from '../../rules/rule.ts';
import { parseIp, wordsToBytes } from '../../rules/values.ts';
import type { TcActionInstance } from './action.ts';

/** What the actions name that only the machine knows. */
export interface RuleContext {
  device(name: string): NetDevice | null;
  /** Number of the conntrack zone's flowtable, from 1. */
  zoneTable(zone: number): number;
}

/** Bits of flower's ct_state by those of a rule (new, est, rel, rpl, inv, trk). */
const CT_STATE_BITS = [1, 2, 4, 32, 16, 8];

/** What a filter compares, as drivers and the software classifier have it. */
export function matchOfKeys(keys: readonly FieldMatch[]): FlowMatch {
  const read = new KeyReader(keys);
  const { match } = read;
  match.basic = read.group({ nProto: 'eth_type', ipProto: 'ip_proto' });
  const frag = read.number('ip_frag');
  match.control.key.flags = frag.key;
  match.control.mask.flags = frag.mask;
  addLink(read);
  if (read.has('ipv4_src', 'ipv4_dst')) addAddresses(match, read.pair('ipv4_src', 'ipv4_dst', 4));
  if (read.has('ipv6_src', 'ipv6_dst')) addAddresses(match, read.pair('ipv6_src', 'ipv6_dst', 16));
  addNetwork(read);
  addTunnel(read);
  if (read.uses(R.FLOW_DISSECTOR_KEY_CT, 'ct_state', 'ct_zone', 'ct_mark', 'ct_label')) {
    const label = read.bytes('ct_label', 16);
    const rest = read.group({ state: 'ct_state', zone: 'ct_zone', mark: 'ct_mark' });
    // A label's first byte is the lowest of the number.
    match.ct = {
      key: { ...rest.key, state: ctState(rest.key.state), label: label.key.reverse() },
      mask: { ...rest.mask, state: ctState(rest.mask.state), label: label.mask.reverse() },
    };
  }
  return match;
}

/** Fields of a rule as values and masks of a match in the making. */
class KeyReader {
  readonly match = R.emptyMatch();
  readonly found: ReadonlyMap<FieldName, FieldMatch>;

  constructor(keys: readonly FieldMatch[]) {
    this.found = new Map(keys.map((key) => [key.field, key]));
  }

  has(...fields: FieldName[]): boolean {
    return fields.some((field) => this.found.has(field));
  }

  /** Whether one of the fields is there; then the key is marked as used. */
  uses(key: number, ...fields: FieldName[]): boolean {
    const used = this.has(...fields);
    if (used) this.match.usedKeys |= 1 << key;
    return used;
  }

  /** The lowest word of a field. */
  number(field: FieldName): KeyMask<number> {
    const key = this.found.get(field);
    if (key?.kind !== 'mask') return { key: 0, mask: 0 };
    const mask = key.mask[key.mask.length - 1];
    return { key: (key.value[key.value.length - 1] & mask) >>> 0, mask };
  }

  bytes(field: FieldName, length: number): KeyMask<Uint8Array> {
    const key = this.found.get(field);
    if (key?.kind !== 'mask') return { key: new Uint8Array(length), mask: new Uint8Array(length) };
    const mask = wordsToBytes(key.mask, length * 8);
    return { key: wordsToBytes(key.value, length * 8).map((b, i) => b & mask[i]), mask };
  }

  /** Numbers by name, as one key. */
  group<T extends string>(of: Record<T, FieldName>): KeyMask<Record<T, number>> {
    const names = Object.keys(of) as T[];
    const pick = (part: 'key' | 'mask'): Record<T, number> =>
      Object.fromEntries(names.map((name) => [name, this.number(of[name])[part]])) as Record<
        T,
        number
      >;
    return { key: pick('key'), mask: pick('mask') };
  }

  pair(src: FieldName, dst: FieldName, length: number): KeyMask<R.FlowKeyAddrs> {
    const [a, b] = [this.bytes(src, length), this.bytes(dst, length)];
    return { key: { src: a.key, dst: b.key }, mask: { src: a.mask, dst: b.mask } };
  }
}

function addLink(read: KeyReader): void {
  const { match } = read;
  if (read.uses(R.FLOW_DISSECTOR_KEY_ETH_ADDRS, 'eth_dst', 'eth_src'))
    match.ethAddrs = read.pair('eth_src', 'eth_dst', 6);
  if (read.uses(R.FLOW_DISSECTOR_KEY_VLAN, 'vlan_id', 'vlan_pcp', 'vlan_tpid'))
    match.vlan = vlanKey(
      read.group({ id: 'vlan_id', priority: 'vlan_pcp', tpid: 'vlan_tpid' }),
      match.basic,
    );
  if (read.uses(R.FLOW_DISSECTOR_KEY_CVLAN, 'cvlan_id', 'cvlan_pcp', 'cvlan_tpid'))
    match.cvlan = vlanKey(
      read.group({ id: 'cvlan_id', priority: 'cvlan_pcp', tpid: 'cvlan_tpid' }),
      match.basic,
    );
  if (read.uses(R.FLOW_DISSECTOR_KEY_MPLS, 'mpls_label', 'mpls_tc', 'mpls_bos', 'mpls_ttl'))
    match.mpls = read.group({
      label: 'mpls_label',
      tc: 'mpls_tc',
      bos: 'mpls_bos',
      ttl: 'mpls_ttl',
    });
}

function addNetwork(read: KeyReader): void {
  const { match } = read;
  if (read.uses(R.FLOW_DISSECTOR_KEY_IP, 'ip_tos', 'ip_ttl'))
    match.ip = read.group({ tos: 'ip_tos', ttl: 'ip_ttl' });
  addPorts(match, read.found, read.group({ src: 'sport', dst: 'dport' }));
  if (read.uses(R.FLOW_DISSECTOR_KEY_ICMP, 'icmp_type', 'icmp_code'))
    match.icmp = read.group({ type: 'icmp_type', code: 'icmp_code' });
  if (read.uses(R.FLOW_DISSECTOR_KEY_TCP, 'tcp_flags'))
    match.tcp = read.group({ flags: 'tcp_flags' });
  const arpFields = ['arp_op', 'arp_sip', 'arp_tip', 'arp_sha', 'arp_tha'] as const;
  if (!read.uses(R.FLOW_DISSECTOR_KEY_ARP, ...arpFields)) return;
  const op = read.number('arp_op');
  const [sip, tip] = [read.bytes('arp_sip', 4), read.bytes('arp_tip', 4)];
  const [sha, tha] = [read.bytes('arp_sha', 6), read.bytes('arp_tha', 6)];
  match.arp = {
    key: { op: op.key, sip: sip.key, tip: tip.key, sha: sha.key, tha: tha.key },
    mask: { op: op.mask, sip: sip.mask, tip: tip.mask, sha: sha.mask, tha: tha.mask },
  };
}

function addTunnel(read: KeyReader): void {
  const { match } = read;
  if (read.uses(R.FLOW_DISSECTOR_KEY_ENC_KEYID, 'tun_id'))
    match.encKeyid = read.group({ keyid: 'tun_id' });
  if (read.uses(R.FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS, 'tun_ipv4_src', 'tun_ipv4_dst')) {
    match.encIpv4 = read.pair('tun_ipv4_src', 'tun_ipv4_dst', 4);
    addTunnelControl(match, R.FLOW_DISSECTOR_KEY_IPV4_ADDRS);
  }
  if (read.uses(R.FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS, 'tun_ipv6_src', 'tun_ipv6_dst')) {
    match.encIpv6 = read.pair('tun_ipv6_src', 'tun_ipv6_dst', 16);
    addTunnelControl(match, R.FLOW_DISSECTOR_KEY_IPV6_ADDRS);
  }
  if (read.uses(R.FLOW_DISSECTOR_KEY_ENC_PORTS, 'tun_sport', 'tun_dport'))
    match.encPorts = read.group({ src: 'tun_sport', dst: 'tun_dport' });
  if (read.uses(R.FLOW_DISSECTOR_KEY_ENC_IP, 'tun_tos', 'tun_ttl'))
    match.encIp = read.group({ tos: 'tun_tos', ttl: 'tun_ttl' });
}

function addTunnelControl(match: FlowMatch, addrType: number): void {
  match.usedKeys |= 1 << R.FLOW_DISSECTOR_KEY_ENC_CONTROL;
  match.encControl = { key: { addrType, flags: 0 }, mask: { addrType: 0xffff, flags: 0 } };
}

function vlanKey(
  tag: KeyMask<{ id: number; priority: number; tpid: number }>,
  basic: KeyMask<R.FlowKeyBasic>,
): KeyMask<R.FlowKeyVlan> {
  return {
    key: { ...tag.key, ethType: basic.key.nProto },
    mask: { ...tag.mask, ethType: basic.mask.nProto },
  };
}

function ctState(bits: number): number {
  return CT_STATE_BITS.reduce((sum, flag, bit) => sum | (((bits >>> bit) & 1) * flag), 0);
}

/** Both keys see the shared storage of 32 bytes: source and destination after each other. */
function addAddresses(match: FlowMatch, given: KeyMask<R.FlowKeyAddrs>): void {
  const length = given.key.src.length;
  const store = (part: R.FlowKeyAddrs): Uint8Array => {
    const bytes = new Uint8Array(32);
    bytes.set(part.src, 0);
    bytes.set(part.dst, length);
    return bytes;
  };
  const [key, mask] = [store(given.key), store(given.mask)];
  const view = (bytes: Uint8Array, size: number): R.FlowKeyAddrs => ({
    src: bytes.slice(0, size),
    dst: bytes.slice(size, 2 * size),
  });
  for (const [size, bit] of [
    [4, R.FLOW_DISSECTOR_KEY_IPV4_ADDRS],
    [16, R.FLOW_DISSECTOR_KEY_IPV6_ADDRS],
  ] as const) {
    if (mask.subarray(0, 2 * size).every((byte) => byte === 0)) continue;
    match.usedKeys |= 1 << bit;
    const addresses = { key: view(key, size), mask: view(mask, size) };
    if (size === 4) match.ipv4 = addresses;
    else match.ipv6 = addresses;
  }
  match.control.key.addrType =
    length === 4 ? R.FLOW_DISSECTOR_KEY_IPV4_ADDRS : R.FLOW_DISSECTOR_KEY_IPV6_ADDRS;
  match.control.mask.addrType = 0xffff;
}

function addPorts(
  match: FlowMatch,
  found: ReadonlyMap<FieldName, FieldMatch>,
  exact: KeyMask<R.FlowKeyPorts>,
): void {
  const [sport, dport] = [found.get('sport'), found.get('dport')];
  const isRange = (key: FieldMatch | undefined): key is FieldMatch & { kind: 'range' } =>
    key?.kind === 'range' && key.low !== key.high;
  if (isRange(sport) || isRange(dport)) {
    match.usedKeys |= 1 << R.FLOW_DISSECTOR_KEY_PORTS_RANGE;
    const src = isRange(sport) ? sport : { low: 0, high: 0 };
    const dst = isRange(dport) ? dport : { low: 0, high: 0 };
    const srcMask = isRange(sport) ? 0xffff : 0;
    const dstMask = isRange(dport) ? 0xffff : 0;
    match.portsRange = {
      key: { srcMin: src.low, srcMax: src.high, dstMin: dst.low, dstMax: dst.high },
      mask: { srcMin: srcMask, srcMax: srcMask, dstMin: dstMask, dstMax: dstMask },
    };
  }
  const single = (key: FieldMatch | undefined): number =>
    key?.kind === 'range' && key.low === key.high ? key.low : -1;
  const [src, dst] = [single(sport), single(dport)];
  const masked = exact.mask.src !== 0 || exact.mask.dst !== 0;
  if (src < 0 && dst < 0 && !masked) return;
  match.usedKeys |= 1 << R.FLOW_DISSECTOR_KEY_PORTS;
  match.ports = {
    key: { src: src < 0 ? exact.key.src : src, dst: dst < 0 ? exact.key.dst : dst },
    mask: { src: src < 0 ? exact.mask.src : 0xffff, dst: dst < 0 ? exact.mask.dst : 0xffff },
  };
}

const hwStats = R.FLOW_ACTION_HW_STATS_ANY;

/** The rule for a driver, or the kernel's message about an action that cannot be said to one. */
export function ruleOf(
  keys: readonly FieldMatch[],
  actions: readonly TcActionInstance[],
  ctx: RuleContext,
): FlowRule | string {
  const entries: FlowActionEntry[] = [];
  for (const action of actions) {
    const made = entriesOf(action, ctx);
    if (typeof made === 'string') return made;
    entries.push(...made);
  }
  return { match: matchOfKeys(keys), actions: entries };
}

function entriesOf(action: TcActionInstance, ctx: RuleContext): FlowActionEntry[] | string {
  if (action.kind === 'gact') return controlEntry(action);
  if (action.kind === 'pedit') return action.peditKeys.map(peditEntry);
  if (action.kind === 'vlan' && action.steps[0].kind === 'set_field') return [vlanMangle(action)];
  if (action.kind === 'mpls' && action.steps[0].kind === 'set_field') return [mplsMangle(action)];
  const entries: FlowActionEntry[] = [];
  for (const step of action.steps) {
    const entry = stepEntry(step, action, ctx);
    if (typeof entry === 'string') return entry;
    entries.push(entry);
  }
  return entries;
}

function controlEntry(action: TcActionInstance): FlowActionEntry[] | string {
  const { control } = action;
  switch (control?.kind) {
    case 'drop':
      return [{ id: R.FLOW_ACTION_DROP, hwStats }];
    case 'pass':
      return [{ id: R.FLOW_ACTION_ACCEPT, hwStats }];
    case 'trap':
      return [{ id: R.FLOW_ACTION_TRAP, hwStats }];
    case 'pipe':
      return [{ id: R.FLOW_ACTION_PIPE, hwStats }];
    case 'goto':
      return [{ id: R.FLOW_ACTION_GOTO, chainIndex: control.group, hwStats }];
    default:
      return 'Offload of "continue" action is not supported';
  }
}

const HTYPES: Record<string, number> = {
  eth: R.FLOW_ACT_MANGLE_HDR_TYPE_ETH,
  ipv4: R.FLOW_ACT_MANGLE_HDR_TYPE_IP4,
  ipv6: R.FLOW_ACT_MANGLE_HDR_TYPE_IP6,
  tcp: R.FLOW_ACT_MANGLE_HDR_TYPE_TCP,
  udp: R.FLOW_ACT_MANGLE_HDR_TYPE_UDP,
};

function peditEntry(key: TcActionInstance['peditKeys'][number]): FlowActionEntry {
  const { offset, mask, val } = key;
  const htype = HTYPES[key.header] ?? 0;
  if (key.add) return { id: R.FLOW_ACTION_ADD, htype, offset, mask, val, hwStats };
  return { id: R.FLOW_ACTION_MANGLE, htype, offset, mask, val, hwStats };
}

function setValue(action: TcActionInstance, field: FieldName): number {
  const step = action.steps.find((one) => one.kind === 'set_field' && one.field === field);
  return step?.kind === 'set_field' ? step.value[0] : 0;
}

function vlanMangle(action: TcActionInstance): FlowActionEntry {
  return {
    id: R.FLOW_ACTION_VLAN_MANGLE,
    vid: setValue(action, 'vlan_id'),
    proto: setValue(action, 'vlan_tpid') || 0x8100,
    prio: setValue(action, 'vlan_pcp'),
    hwStats,
  };
}

function mplsMangle(action: TcActionInstance): FlowActionEntry {
  return {
    id: R.FLOW_ACTION_MPLS_MANGLE,
    proto: 0,
    label: setValue(action, 'mpls_label'),
    tc: setValue(action, 'mpls_tc'),
    bos: setValue(action, 'mpls_bos'),
    ttl: setValue(action, 'mpls_ttl'),
    hwStats,
  };
}

/** Bits of act_csum by header. */
export const CSUM_BITS: Record<string, number> = {
  ip: R.TCA_CSUM_UPDATE_FLAG_IPV4HDR,
  icmp: R.TCA_CSUM_UPDATE_FLAG_ICMP,
  igmp: 4,
  tcp: R.TCA_CSUM_UPDATE_FLAG_TCP,
  udp: R.TCA_CSUM_UPDATE_FLAG_UDP,
  udplite: 32,
  sctp: 64,
};

function stepEntry(
  step: Action,
  action: TcActionInstance,
  ctx: RuleContext,
): FlowActionEntry | string {
  switch (step.kind) {
    case 'output':
    case 'mirror': {
      const dev = ctx.device(step.port);
      const id = step.kind === 'output' ? R.FLOW_ACTION_REDIRECT : R.FLOW_ACTION_MIRRED;
      return dev === null ? 'Unsupported mirred offload' : { id, dev, hwStats };
    }
    case 'checksum': {
      const csumFlags = step.headers.reduce((sum, one) => sum | (CSUM_BITS[one] ?? 0), 0);
      return { id: R.FLOW_ACTION_CSUM, csumFlags, hwStats };
    }
    case 'push_vlan':
      return {
        id: R.FLOW_ACTION_VLAN_PUSH,
        vid: step.id,
        proto: step.tpid,
        prio: step.pcp,
        hwStats,
      };
    case 'pop_vlan':
      return { id: R.FLOW_ACTION_VLAN_POP, hwStats };
    case 'push_mpls':
      return {
        id: R.FLOW_ACTION_MPLS_PUSH,
        proto: step.tpid,
        label: step.label,
        tc: step.tc,
        bos: step.bos,
        ttl: step.ttl,
        hwStats,
      };
    case 'pop_mpls':
      return { id: R.FLOW_ACTION_MPLS_POP, proto: step.tpid, hwStats };
    case 'encap':
      return { id: R.FLOW_ACTION_TUNNEL_ENCAP, tunnel: tunnelOf(step.tunnel), hwStats };
    case 'decap':
      return { id: R.FLOW_ACTION_TUNNEL_DECAP, hwStats };
    case 'mark':
      return { id: R.FLOW_ACTION_MARK, mark: step.value, hwStats };
    case 'queue':
      return 'skbedit action offload is not supported for "queue_mapping"';
    case 'set_field':
      return { id: R.FLOW_ACTION_PRIORITY, priority: step.value[0], hwStats };
    case 'sample':
      return {
        id: R.FLOW_ACTION_SAMPLE,
        rate: step.rate,
        group: step.group,
        truncBytes: step.truncBytes,
        hwStats,
      };
    case 'police':
      return {
        id: R.FLOW_ACTION_POLICE,
        police: {
          index: action.index,
          rateBytesPerS: step.rateBytesPerS,
          burstBytes: step.burstBytes,
          mtuBytes: step.mtuBytes,
          exceed: VERDICT_IDS[step.exceed],
          notexceed: VERDICT_IDS[step.conform],
        },
        hwStats,
      };
    case 'ct':
      return {
        id: R.FLOW_ACTION_CT,
        action: ctFlags(step),
        zone: step.zone,
        table: step.clear ? 0 : ctx.zoneTable(step.zone),
        hwStats,
      };
    default:
      return `Offload of "${step.kind}" action is not supported`;
  }
}

const VERDICT_IDS: Record<string, number> = {
  drop: R.FLOW_ACTION_DROP,
  pass: R.FLOW_ACTION_ACCEPT,
  pipe: R.FLOW_ACTION_PIPE,
  reclassify: R.FLOW_ACTION_CONTINUE,
};

function ctFlags(step: Action & { kind: 'ct' }): number {
  let flags = 0;
  if (step.commit) flags |= R.TCA_CT_ACT_COMMIT;
  if (step.force) flags |= R.TCA_CT_ACT_FORCE;
  if (step.clear) flags |= R.TCA_CT_ACT_CLEAR;
  if (step.nat !== null) flags |= R.TCA_CT_ACT_NAT;
  if (step.nat !== null && step.nat !== 'restore')
    flags |= step.nat.direction === 'src' ? R.TCA_CT_ACT_NAT_SRC : R.TCA_CT_ACT_NAT_DST;
  return flags;
}

function tunnelOf(header: (Action & { kind: 'encap' })['tunnel']): R.FlowTunnel {
  const address = (text: string): Uint8Array => {
    const words = parseIp(text)?.words ?? [0];
    return wordsToBytes(words, words.length * 32);
  };
  return {
    id: header.id ?? 0,
    hasKey: header.id !== null,
    src: address(header.src),
    dst: address(header.dst),
    dstPort: header.dstPort ?? 0,
    ttl: header.ttl ?? 0,
    tos: header.tos ?? 0,
    csum: header.checksum,
    dontFragment: header.dontFragment,
  };
}
