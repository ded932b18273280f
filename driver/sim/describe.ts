// A driver request as one line of text, decoded: match keys with their masks, actions with their numbers, as the recorded test
// driver `offsim` printed them (reference/offload/*.driver.txt).
//
// Words of mangle actions are printed as a little-endian host reads them from memory, and cookies as they are: what differs
// between two runs of the same system is only the cookies.

import * as R from '../flow-rule.ts';
import type { FlowActionEntry, FlowMatch, FlowRule, FlowTunnel } from '../flow-rule.ts';
import { FLOW_CLS_REPLACE } from '../flow-block.ts';
import type { FlowBlockRequest } from '../flow-block.ts';

const COMMANDS = ['REPLACE', 'DESTROY', 'STATS'];

/** `REPLACE cookie=... proto=... prio=... KEYS | ACTION | ACTION`, without the answer. */
export function describeRequest(request: FlowBlockRequest): string {
  const { common, cookie, command, rule } = request;
  const head =
    `${COMMANDS[command]} cookie=${cookie.toString(16)} chain=${common.chainIndex} ` +
    `proto=${hex(common.protocol, 4)} prio=${common.prio}`;
  if (command !== FLOW_CLS_REPLACE || rule === null) return head;
  return `${head} ${describeMatch(rule.match)}${describeActions(rule)}`;
}

/** A match as KEY=VALUE/MASK words, in a fixed order. */
export function describeMatch(match: FlowMatch): string {
  const { control, basic } = match;
  const words: string[] = [];
  if (match.meta !== null)
    words.push(`meta.iif=${match.meta.key.ingressIfindex}/${hex(match.meta.mask.ingressIfindex)}`);
  words.push(
    `control.type=${control.key.addrType}/${hex(control.mask.addrType)}`,
    `control.flags=${hex(control.key.flags)}/${hex(control.mask.flags)}`,
    `n_proto=${hex(basic.key.nProto, 4)}/${hex(basic.mask.nProto, 4)}`,
    `ip_proto=${basic.key.ipProto}/${hex(basic.mask.ipProto)}`,
  );
  pushLinkKeys(match, words);
  pushNetworkKeys(match, words);
  pushOtherKeys(match, words);
  words.push(`used_keys=${hex(match.usedKeys >>> 0)}`);
  return words.join(' ');
}

function pushLinkKeys(match: FlowMatch, words: string[]): void {
  const { ethAddrs } = match;
  if (ethAddrs !== null)
    words.push(
      `eth.dst=${mac(ethAddrs.key.dst)}/${mac(ethAddrs.mask.dst)}`,
      `eth.src=${mac(ethAddrs.key.src)}/${mac(ethAddrs.mask.src)}`,
    );
  for (const [name, vlan] of [
    ['vlan', match.vlan],
    ['cvlan', match.cvlan],
  ] as const) {
    if (vlan === null) continue;
    words.push(
      `${name}.id=${vlan.key.id}/${hex(vlan.mask.id)}`,
      `prio=${vlan.key.priority}/${hex(vlan.mask.priority)}`,
      `tpid=${hex(vlan.key.tpid)}/${hex(vlan.mask.tpid)}`,
      `eth=${hex(vlan.key.ethType)}/${hex(vlan.mask.ethType)}`,
    );
  }
}

function pushNetworkKeys(match: FlowMatch, words: string[]): void {
  const { ip, ports, portsRange, icmp, tcp, arp } = match;
  for (const [name, addresses] of [
    ['ipv4', match.ipv4],
    ['ipv6', match.ipv6],
  ] as const) {
    if (addresses === null) continue;
    const { key, mask } = addresses;
    words.push(`${name}.src=${address(key.src)}/${address(mask.src)}`);
    words.push(`${name}.dst=${address(key.dst)}/${address(mask.dst)}`);
  }
  if (ip !== null)
    words.push(
      `tos=${hex(ip.key.tos)}/${hex(ip.mask.tos)}`,
      `ttl=${ip.key.ttl}/${hex(ip.mask.ttl)}`,
    );
  if (ports !== null)
    words.push(
      `sport=${ports.key.src}/${hex(ports.mask.src)}`,
      `dport=${ports.key.dst}/${hex(ports.mask.dst)}`,
    );
  if (portsRange !== null) {
    const { srcMin, srcMax, dstMin, dstMax } = portsRange.key;
    words.push(`sport=${srcMin}-${srcMax}`, `dport=${dstMin}-${dstMax}`);
  }
  if (icmp !== null)
    words.push(
      `icmp.type=${icmp.key.type}/${hex(icmp.mask.type)}`,
      `code=${icmp.key.code}/${hex(icmp.mask.code)}`,
    );
  if (tcp !== null) words.push(`tcp.flags=${hex(tcp.key.flags)}/${hex(tcp.mask.flags)}`);
  if (arp !== null)
    words.push(
      `arp.op=${arp.key.op}/${hex(arp.mask.op)}`,
      `sip=${address(arp.key.sip)}/${address(arp.mask.sip)}`,
      `tip=${address(arp.key.tip)}/${address(arp.mask.tip)}`,
    );
}

function pushOtherKeys(match: FlowMatch, words: string[]): void {
  const { mpls, ct, encKeyid, encPorts, encIp } = match;
  if (mpls !== null)
    words.push(
      `mpls[0]=${mpls.key.label}/${hex(mpls.mask.label)}`,
      `tc=${mpls.key.tc}`,
      `bos=${mpls.key.bos}/${hex(mpls.mask.bos)}`,
      `ttl=${mpls.key.ttl}/${hex(mpls.mask.ttl)}`,
    );
  if (encKeyid !== null) words.push(`enc.keyid=${encKeyid.key.keyid}/${hex(encKeyid.mask.keyid)}`);
  for (const addresses of [match.encIpv4, match.encIpv6])
    if (addresses !== null)
      words.push(
        `enc.src=${address(addresses.key.src)}/${address(addresses.mask.src)}`,
        `enc.dst=${address(addresses.key.dst)}/${address(addresses.mask.dst)}`,
      );
  if (encPorts !== null)
    words.push(
      `enc.sport=${encPorts.key.src}/${hex(encPorts.mask.src)}`,
      `enc.dport=${encPorts.key.dst}/${hex(encPorts.mask.dst)}`,
    );
  if (encIp !== null)
    words.push(
      `enc.tos=${hex(encIp.key.tos)}/${hex(encIp.mask.tos)}`,
      `enc.ttl=${encIp.key.ttl}/${hex(encIp.mask.ttl)}`,
    );
  if (ct !== null)
    words.push(
      `ct.state=${hex(ct.key.state)}/${hex(ct.mask.state)}`,
      `zone=${ct.key.zone}/${hex(ct.mask.zone)}`,
      `mark=${hex(ct.key.mark)}/${hex(ct.mask.mark)}`,
      `label=${bytesHex(ct.key.label)}/${bytesHex(ct.mask.label)}`,
    );
}

/** ` | ACTION` for each action of a rule. */
export function describeActions(rule: FlowRule): string {
  return rule.actions.map((action) => ` | ${describeAction(action)}`).join('');
}

function describeAction(action: FlowActionEntry): string {
  const name = `${R.FLOW_ACTION_NAMES[action.id]}(${action.id})`;
  const details = actionDetails(action);
  return `${name}${details === '' ? '' : ` ${details}`} hw_stats=${action.hwStats}`;
}

function actionDetails(action: FlowActionEntry): string {
  switch (action.id) {
    case R.FLOW_ACTION_GOTO:
      return `chain=${action.chainIndex}`;
    case R.FLOW_ACTION_REDIRECT:
    case R.FLOW_ACTION_MIRRED:
    case R.FLOW_ACTION_REDIRECT_INGRESS:
    case R.FLOW_ACTION_MIRRED_INGRESS:
      return `dev=${action.dev.name}`;
    case R.FLOW_ACTION_VLAN_PUSH:
    case R.FLOW_ACTION_VLAN_MANGLE:
      return `vid=${action.vid} prio=${action.prio} proto=${hex(action.proto, 4)}`;
    case R.FLOW_ACTION_TUNNEL_ENCAP:
      return tunnelDetails(action.tunnel);
    case R.FLOW_ACTION_MANGLE:
    case R.FLOW_ACTION_ADD: {
      const [mask, val] = [swap(action.mask), swap(action.val)];
      return `htype=${action.htype} offset=${action.offset} mask=${hex(mask, 8)} val=${hex(val, 8)}`;
    }
    case R.FLOW_ACTION_CSUM:
      return `flags=${hex(action.csumFlags)}`;
    case R.FLOW_ACTION_MARK:
      return `mark=${action.mark}`;
    case R.FLOW_ACTION_PRIORITY:
      return `priority=${action.priority}`;
    case R.FLOW_ACTION_QUEUE:
      return `index=${action.index}`;
    case R.FLOW_ACTION_SAMPLE:
      return `rate=${action.rate} group=${action.group} trunc=${action.truncBytes}`;
    case R.FLOW_ACTION_POLICE: {
      const { rateBytesPerS, burstBytes, mtuBytes, exceed, notexceed } = action.police;
      return `rate=${rateBytesPerS} burst=${burstBytes} mtu=${mtuBytes} exceed=${exceed} notexceed=${notexceed}`;
    }
    case R.FLOW_ACTION_CT:
      return `action=${hex(action.action)} zone=${action.zone} table=${action.table === 0 ? 0 : 1}`;
    case R.FLOW_ACTION_CT_METADATA:
      return `mark=${hex(action.mark)} labels=${bytesHex(action.labels)} orig=${action.origDir ? 1 : 0}`;
    case R.FLOW_ACTION_MPLS_PUSH:
    case R.FLOW_ACTION_MPLS_MANGLE: {
      const { label, tc, bos, ttl, proto } = action;
      return `label=${label} tc=${tc} bos=${bos} ttl=${ttl} proto=${hex(proto, 4)}`;
    }
    case R.FLOW_ACTION_MPLS_POP:
      return `proto=${hex(action.proto, 4)}`;
    default:
      return '';
  }
}

/** TUNNEL_CSUM 1, TUNNEL_KEY 4, TUNNEL_DONT_FRAGMENT 0x100. */
function tunnelDetails(tunnel: FlowTunnel): string {
  const flags = (tunnel.csum ? 1 : 0) | (tunnel.hasKey ? 4 : 0) | (tunnel.dontFragment ? 0x100 : 0);
  return (
    `id=${tunnel.id} flags=${hex(flags)} src=${address(tunnel.src)} dst=${address(tunnel.dst)} ` +
    `dport=${tunnel.dstPort} ttl=${tunnel.ttl} tos=${tunnel.tos} opts=0`
  );
}

function hex(value: number, digits = 0): string {
  return (value >>> 0).toString(16).padStart(digits, '0');
}

function swap(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function mac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => hex(byte, 2)).join(':');
}

function bytesHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => hex(byte, 2)).join('');
}

/** Dotted quad, or IPv6 with its longest run of zero words as `::` (a run of one word is not shortened). */
function address(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words: number[] = [];
  for (let i = 0; i < 16; i += 2) words.push((bytes[i] << 8) | bytes[i + 1]);
  let best = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length++;
    if (length > bestLength) [best, bestLength] = [start, length];
  }
  const text = (part: number[]): string => part.map((word) => word.toString(16)).join(':');
  if (best < 0) return text(words);
  return `${text(words.slice(0, best))}::${text(words.slice(best + bestLength))}`;
}
