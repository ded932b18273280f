// A classification rule as `ethtool -n` prints it (rxclass.c): masks shown with one bits that do not matter, except that of dst-mac,
// which the tool shows as the kernel has it.

import * as E from '../../../../driver/ethtool.ts';
import type { EthtoolRxFlowSpec, FlowField } from '../../../../driver/ethtool.ts';
import { formatIp, formatMacWords } from '../../../rules/values.ts';

const TITLES: ReadonlyMap<number, string> = new Map([
  [E.TCP_V4_FLOW, 'TCP over IPv4'],
  [E.UDP_V4_FLOW, 'UDP over IPv4'],
  [E.SCTP_V4_FLOW, 'SCTP over IPv4'],
  [E.AH_V4_FLOW, 'IPSEC AH over IPv4'],
  [E.ESP_V4_FLOW, 'IPSEC ESP over IPv4'],
  [E.IPV4_USER_FLOW, 'Raw IPv4'],
  [E.TCP_V6_FLOW, 'TCP over IPv6'],
  [E.UDP_V6_FLOW, 'UDP over IPv6'],
  [E.SCTP_V6_FLOW, 'SCTP over IPv6'],
  [E.AH_V6_FLOW, 'IPSEC AH over IPv6'],
  [E.ESP_V6_FLOW, 'IPSEC ESP over IPv6'],
  [E.IPV6_USER_FLOW, 'Raw IPv6'],
]);
const IPV6_TYPES: readonly number[] = [
  ...[E.TCP_V6_FLOW, E.UDP_V6_FLOW, E.SCTP_V6_FLOW, E.AH_V6_FLOW, E.ESP_V6_FLOW],
  E.IPV6_USER_FLOW,
];
const PORT_TYPES: readonly number[] = [
  ...[E.TCP_V4_FLOW, E.UDP_V4_FLOW, E.SCTP_V4_FLOW],
  ...[E.TCP_V6_FLOW, E.UDP_V6_FLOW, E.SCTP_V6_FLOW],
];

/** Words of a field's value and of the bits that do not matter. */
function shown(spec: EthtoolRxFlowSpec, field: FlowField, words: number): [number[], number[]] {
  const given = spec.fields[field];
  const value = [...(given?.value ?? new Array<number>(words).fill(0))];
  const mask = given?.mask ?? new Array<number>(words).fill(0);
  return [value, mask.map((word) => ~word >>> 0)];
}

/** "LABEL: VALUE mask: IGNORED" of a number of at most 32 bits. */
function numberLine(
  spec: EthtoolRxFlowSpec,
  label: string,
  field: FlowField,
  bits: number,
  isHex: boolean,
): string {
  const [[value], [ignored]] = shown(spec, field, 1);
  const limit = 2 ** bits;
  const hex = (number: number): string => `0x${(number % limit).toString(16)}`;
  return `\t${label}: ${isHex ? hex(value) : value} mask: ${hex(ignored)}\n`;
}

function addressLine(
  spec: EthtoolRxFlowSpec,
  label: string,
  field: FlowField,
  words: number,
): string {
  const [value, ignored] = shown(spec, field, words);
  return `\t${label}: ${formatIp(value)} mask: ${formatIp(ignored)}\n`;
}

function ipLines(spec: EthtoolRxFlowSpec): string {
  const type = spec.flow_type;
  const isV6 = IPV6_TYPES.includes(type);
  const words = isV6 ? 4 : 1;
  let text = `\tRule Type: ${TITLES.get(type) ?? ''}\n`;
  text += addressLine(spec, 'Src IP addr', 'src_ip', words);
  text += addressLine(spec, 'Dest IP addr', 'dst_ip', words);
  text += numberLine(spec, isV6 ? 'Traffic Class' : 'TOS', 'tos', 8, true);
  if (PORT_TYPES.includes(type)) {
    text += numberLine(spec, 'Src port', 'src_port', 16, false);
    return text + numberLine(spec, 'Dest port', 'dst_port', 16, false);
  }
  if (type !== E.IPV4_USER_FLOW && type !== E.IPV6_USER_FLOW)
    return text + numberLine(spec, 'SPI', 'spi', 32, false);
  text += numberLine(spec, 'Protocol', 'l4_proto', 8, false);
  return text + numberLine(spec, 'L4 bytes', 'l4_data', 32, true);
}

function mac(words: readonly number[]): string {
  return formatMacWords([words[0] & 0xffff, words[1]]).toUpperCase();
}

function macLine(spec: EthtoolRxFlowSpec, label: string, field: FlowField): string {
  const [value, ignored] = shown(spec, field, 2);
  return `\t${label}: ${mac(value)} mask: ${mac(ignored)}\n`;
}

function etherLines(spec: EthtoolRxFlowSpec): string {
  const [[type], [ignored]] = shown(spec, 'eth_proto', 1);
  const hex = (value: number): string => `0x${(value & 0xffff).toString(16).toUpperCase()}`;
  return (
    '\tFlow Type: Raw Ethernet\n' +
    macLine(spec, 'Src MAC addr', 'eth_src') +
    macLine(spec, 'Dest MAC addr', 'eth_dst') +
    `\tEthertype: ${hex(type)} mask: ${hex(ignored)}\n`
  );
}

function extensionLines(spec: EthtoolRxFlowSpec): string {
  const { vlan_etype, vlan_tci, user_def, dst_mac } = spec.fields;
  let text = '';
  if (vlan_etype !== undefined || vlan_tci !== undefined || user_def !== undefined) {
    text += numberLine(spec, 'VLAN EtherType', 'vlan_etype', 16, true);
    text += numberLine(spec, 'VLAN', 'vlan_tci', 16, true);
    const [value, ignored] = shown(spec, 'user_def', 2);
    text += `\tUser-defined: ${hex64(value)} mask: ${hex64(ignored)}\n`;
  }
  if (dst_mac !== undefined)
    text += `\tDest MAC addr: ${mac(dst_mac.value)} mask: ${mac(dst_mac.mask)}\n`;
  return text;
}

function hex64([high, low]: readonly number[]): string {
  const digits = high === 0 ? '' : high.toString(16);
  return `0x${digits}${digits === '' ? low.toString(16) : low.toString(16).padStart(8, '0')}`;
}

function action(spec: EthtoolRxFlowSpec): string {
  const { drop, ring, vf } = spec.cookie;
  if (drop) return 'Drop';
  return vf > 0 ? `Direct to VF ${vf - 1} queue ${ring}` : `Direct to queue ${ring}`;
}

/** The lines of one rule, with the empty one after it. */
export function printRule(spec: EthtoolRxFlowSpec): string {
  let text = `Filter: ${spec.location}\n`;
  text += spec.flow_type === E.ETHER_FLOW ? etherLines(spec) : ipLines(spec);
  text += extensionLines(spec);
  if (spec.rss_context >= 0) text += `\tRSS Context ID: ${spec.rss_context}\n`;
  return `${text}\tAction: ${action(spec)}\n\n`;
}
