// tc's tunnel_key and ct actions into neutral ones (tc-tunnel_key(8), tc-ct(8)).
// Not here: geneve, vxlan and erspan options of tunnel_key, helpers of ct.

import { parseUnsigned } from './scan.ts';
import type { Words } from './scan.ts';
import type { Action, NatRange, Place, TunnelHeader } from './rule.ts';
import { formatIp, parseIp, parseLabel } from './values.ts';

export function parseTunnelKey(words: Words, into: Action[], at: Place): 'pipe' {
  if (words.takeOneOf('set', 'unset') === 'unset') {
    into.push({ kind: 'decap', at });
    return 'pipe';
  }
  const tunnel: TunnelHeader = {
    id: null,
    src: '',
    dst: '',
    dstPort: null,
    tos: null,
    ttl: null,
    checksum: true,
    dontFragment: false,
  };
  for (;;) {
    if (words.takeIf('id') !== '') tunnel.id = words.takeNumber(0, 0xffffffff);
    else if (words.takeIf('src_ip') !== '') tunnel.src = takeAddress(words, tunnel.dst);
    else if (words.takeIf('dst_ip') !== '') tunnel.dst = takeAddress(words, tunnel.src);
    else if (words.takeIf('dst_port') !== '') tunnel.dstPort = words.takeNumber(0, 0xffff);
    else if (words.takeIf('tos') !== '') tunnel.tos = words.takeNumber(0, 255);
    else if (words.takeIf('ttl') !== '') tunnel.ttl = words.takeNumber(0, 255);
    else if (words.takeIf('nocsum') !== '') tunnel.checksum = false;
    else if (words.takeIf('csum') !== '') tunnel.checksum = true;
    else if (words.takeIf('nofrag') !== '') tunnel.dontFragment = true;
    else break;
  }
  if (tunnel.src === '') words.fail('src_ip ADDRESS');
  if (tunnel.dst === '') words.fail('dst_ip ADDRESS');
  into.push({ kind: 'encap', tunnel, at });
  return 'pipe';
}

/** An address in canonical text, of the family of `other` if that is given. */
function takeAddress(words: Words, other: string): string {
  return words.takeAs('an address (both of one family)', (text) => {
    const address = parseIp(text);
    if (address === null || (other !== '' && other.includes(':') !== (address.family === 6)))
      return null;
    return formatIp(address.words);
  });
}

export function parseCt(words: Words, into: Action[], at: Place): 'pipe' {
  const ct: Action & { kind: 'ct' } = {
    kind: 'ct',
    commit: false,
    force: false,
    clear: false,
    zone: 0,
    mark: null,
    label: null,
    nat: null,
    at,
  };
  for (;;) {
    if (words.takeIf('commit') !== '') ct.commit = true;
    else if (words.takeIf('force') !== '') ct.force = true;
    else if (words.takeIf('clear') !== '') ct.clear = true;
    else if (words.takeIf('zone') !== '') ct.zone = words.takeNumber(0, 0xffff);
    else if (words.takeIf('mark') !== '')
      ct.mark = words.takeAs('VALUE or VALUE/MASK', parseMarkMask);
    else if (words.takeIf('label') !== '')
      ct.label = words.takeAs('a label in hexadecimal, [/MASK]', parseLabel);
    else if (words.takeIf('nat') !== '') ct.nat = parseNat(words);
    else break;
  }
  if (ct.force && !ct.commit) words.fail('commit with force');
  into.push(ct);
  return 'pipe';
}

function parseMarkMask(text: string): { value: number; mask: number } | null {
  const [value, mask] = text.split('/').map(parseUnsigned);
  if (value === null || value > 0xffffffff || text.split('/').length > 2) return null;
  if (mask === null || (mask ?? 0) > 0xffffffff) return null;
  return { value: (value & (mask ?? -1)) >>> 0, mask: mask ?? 0xffffffff };
}

function parseNat(words: Words): NatRange | 'restore' {
  const direction = words.takeIf('src', 'dst');
  if (direction === '') return 'restore';
  const nat: NatRange = {
    direction: direction as 'src' | 'dst',
    addressLow: '',
    addressHigh: '',
    portLow: 0,
    portHigh: 0,
  };
  words.takeOneOf('addr');
  const [low, high] = words.takeAs('ADDRESS or LOW-HIGH', (text) => {
    const parts = text.split('-').map(parseIp);
    if (parts.length > 2 || parts[0] === null || parts.at(-1) === null) return null;
    return [parts[0], parts.at(-1) ?? parts[0]];
  });
  nat.addressLow = formatIp(low.words);
  nat.addressHigh = formatIp((high ?? low).words);
  if (words.takeIf('port') !== '') {
    const ports = words.takeAs('PORT or LOW-HIGH', (text) => {
      const parts = text.split('-').map(parseUnsigned);
      const bad = parts.some((port) => port === null || port < 1 || port > 0xffff);
      return bad || parts.length > 2 ? null : (parts as number[]);
    });
    nat.portLow = ports[0];
    nat.portHigh = ports.at(-1) ?? ports[0];
  }
  return nat;
}
