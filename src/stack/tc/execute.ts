// tc's actions done to a packet in software: skb.at at the network header, the MAC header before it.
//
// Modelled: gact, mirred (egress), pedit, csum (IPv4, TCP, UDP, ICMP), vlan, skbedit, police (one token bucket, no peak rate),
// sample (counted; no group has a listener). The others exist for hardware only: a filter with one of them needs skip_sw, and
// `softwareObstacle` says which it is.

import type { SkBuff } from '../../../driver/skb.ts';
import { PS_PER_S } from '../../../hw/time/units.ts';
import type { Action } from '../../rules/rule.ts';
import { setIpv4Checksum, transportChecksum } from '../ip/checksum.ts';
import { pastMacHeader, toMacHeader } from '../mac-header.ts';
import { ETH_P_8021Q } from '../packet-types.ts';
import { VLAN_TAG_BYTES, popVlanTag, pushVlanTag } from '../vlan-tag.ts';
import type { TcActionInstance } from './action.ts';

/** What an action decides: on to the next, or the end of the list. */
export type StepResult =
  'pipe' | 'ok' | 'drop' | 'stolen' | 'continue' | 'reclassify' | 'trap' | number;

/** What the actions need of the stack. */
export interface PacketPort {
  nowPs: number;
  /** Sends a copy of the frame out of a device. */
  mirror(skb: SkBuff, device: string): void;
  /** Sends the frame out of a device: it is gone. */
  redirect(skb: SkBuff, device: string): void;
}

const SOFTWARE_KINDS = new Set([
  'gact',
  'mirred',
  'pedit',
  'csum',
  'vlan',
  'skbedit',
  'police',
  'sample',
]);

/** The first action that only hardware does, '' for none. */
export function softwareObstacle(actions: readonly TcActionInstance[]): string {
  const hasOtherTag = (action: TcActionInstance): boolean =>
    action.steps.some((step) => step.kind === 'push_vlan' && step.tpid !== ETH_P_8021Q);
  const found = actions.find((one) => !SOFTWARE_KINDS.has(one.kind) || hasOtherTag(one));
  return found === undefined ? '' : found.kind;
}

/** Runs one action; a number is the chain to go to. */
export function runAction(action: TcActionInstance, skb: SkBuff, port: PacketPort): StepResult {
  action.addSoftware(skb.lenBytes, port.nowPs);
  const [step] = action.steps;
  switch (action.kind) {
    case 'mirred':
      if (step.kind === 'output') {
        port.redirect(skb, step.port);
        return 'stolen';
      }
      if (step.kind === 'mirror') port.mirror(skb, step.port);
      break;
    case 'pedit':
      for (const key of action.peditKeys) writeWord(skb, key);
      break;
    case 'csum':
      if (step.kind === 'checksum') fixChecksums(skb, step.headers);
      break;
    case 'vlan':
      for (const one of action.steps) editVlan(skb, one);
      break;
    case 'skbedit':
      for (const one of action.steps) editMetadata(skb, one);
      break;
    case 'sample':
      action.seen++;
      break;
    case 'police':
      return police(action, skb.lenBytes, port.nowPs);
    default:
      break;
  }
  return controlOf(action);
}

function controlOf(action: TcActionInstance): StepResult {
  const { control } = action;
  switch (control?.kind) {
    case 'goto':
      return control.group;
    case 'drop':
      action.drops++;
      return 'drop';
    case 'trap':
      // tcf_classify answers TC_ACT_TRAP as TC_ACT_SHOT's like in software: the packet goes no further.
      return 'trap';
    case 'pass':
      return 'ok';
    case 'continue':
      return 'continue';
    default:
      return 'pipe';
  }
}

/** A packet within the rate takes its bytes from the bucket; longer than the MTU is never within. */
function police(action: TcActionInstance, lenBytes: number, nowPs: number): StepResult {
  const [step] = action.steps;
  if (step.kind !== 'police') return 'ok';
  const gained = ((nowPs - action.filledPs) / PS_PER_S) * step.rateBytesPerS;
  action.tokens = Math.min(step.burstBytes, action.tokens + gained);
  action.filledPs = nowPs;
  const fits = (step.mtuBytes === 0 || lenBytes <= step.mtuBytes) && lenBytes <= action.tokens;
  if (fits) action.tokens -= lenBytes;
  else action.overlimits++;
  const verdict = fits ? step.conform : step.exceed;
  if (verdict === 'drop') action.drops++;
  if (verdict === 'pass') return 'ok';
  return verdict;
}

/** Offset in memory of a header that pedit names, −1 when the packet has none. */
function headerAt(skb: SkBuff, header: string): number {
  const { bytes, networkAt } = skb;
  if (header === 'eth') return skb.macAt;
  if (header === 'ipv4' || header === 'ipv6') return networkAt;
  const isIpv4 = bytes[networkAt] >> 4 === 4;
  return networkAt + (isIpv4 ? (bytes[networkAt] & 15) * 4 : 40);
}

function writeWord(skb: SkBuff, key: TcActionInstance['peditKeys'][number]): void {
  const base = headerAt(skb, key.header);
  if (base < 0) return;
  const at = base + key.offset;
  const { bytes } = skb;
  const old =
    ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
  // `add` is of the whole word, cut to the bits that may change.
  const value = key.add ? (old & ~key.mask) + key.val : key.val;
  const word = (old & key.mask) | (value & ~key.mask);
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/** Where the checksum stands in a transport header, by protocol. */
const CHECKSUM_AT: Record<string, readonly [protocol: number, at: number]> = {
  tcp: [6, 16],
  udp: [17, 6],
};

function fixChecksums(skb: SkBuff, headers: readonly string[]): void {
  const { bytes, networkAt } = skb;
  const isIpv4 = bytes[networkAt] >> 4 === 4;
  const at = headerAt(skb, 'tcp');
  const protocol = bytes[networkAt + (isIpv4 ? 9 : 6)];
  const totalBytes = isIpv4
    ? (bytes[networkAt + 2] << 8) | bytes[networkAt + 3]
    : 40 + ((bytes[networkAt + 4] << 8) | bytes[networkAt + 5]);
  const lenBytes = networkAt + totalBytes - at;
  for (const header of headers) {
    if (header === 'ip') {
      if (isIpv4) setIpv4Checksum(bytes, networkAt);
      continue;
    }
    const known = CHECKSUM_AT[header];
    if (known === undefined || known[0] !== protocol) continue;
    const place = at + known[1];
    // UDP's 0 is "none": it stays.
    if (header === 'udp' && bytes[place] === 0 && bytes[place + 1] === 0) continue;
    bytes[place] = bytes[place + 1] = 0;
    let sum = transportChecksum(bytes, networkAt, protocol, at, lenBytes);
    if (header === 'udp' && sum === 0) sum = 0xffff;
    bytes[place] = sum >> 8;
    bytes[place + 1] = sum;
  }
}

function editVlan(skb: SkBuff, step: Action): void {
  if (step.kind === 'pop_vlan') popVlan(skb);
  else if (step.kind === 'push_vlan') {
    if (skb.vlanTci >= 0) insertTag(skb);
    skb.vlanTci = (step.pcp << 13) | step.id;
  } else if (step.kind === 'set_field' && skb.vlanTci >= 0) {
    if (step.field === 'vlan_id') skb.vlanTci = (skb.vlanTci & ~0xfff) | step.value[0];
    if (step.field === 'vlan_pcp') skb.vlanTci = (skb.vlanTci & 0x1fff) | (step.value[0] << 13);
  }
}

/** The tag beside the packet goes into it: a further one takes its place. */
function insertTag(skb: SkBuff): void {
  pushVlanTag(toMacHeader(skb), skb.vlanTci);
  pastMacHeader(skb);
  skb.protocol = ETH_P_8021Q;
}

/** The outer tag goes; one below it comes beside the packet. */
function popVlan(skb: SkBuff): void {
  const hasSecond = skb.vlanTci >= 0 && skb.protocol === ETH_P_8021Q;
  skb.vlanTci = -1;
  if (!hasSecond || skb.lenBytes < VLAN_TAG_BYTES) return;
  popVlanTag(toMacHeader(skb));
  pastMacHeader(skb);
  skb.protocol = (skb.bytes[skb.at - 2] << 8) | skb.bytes[skb.at - 1];
}

function editMetadata(skb: SkBuff, step: Action): void {
  if (step.kind === 'mark') skb.mark = ((skb.mark & ~step.mask) | (step.value & step.mask)) >>> 0;
  else if (step.kind === 'queue') skb.queueMapping = step.index;
  else if (step.kind === 'set_field') skb.priority = step.value[0];
}
