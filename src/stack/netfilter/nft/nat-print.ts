// Nat statements as `nft list` prints them and `nft -j list` gives them (nftables 1.0.6).

import type { NatStatement } from './ast.ts';
import { typesOf } from './fields.ts';
import { mapRefJson, printMapRef } from './set-print.ts';
import { formatScalar, jsonScalar } from './types.ts';
import type { Scalar, TypeName } from './types.ts';

const typeOf = (address: Scalar): TypeName =>
  address instanceof Uint8Array ? 'ipv6_addr' : 'ipv4_addr';

/** Whether both ends are one. */
function isOne([first, last]: readonly [Scalar, Scalar]): boolean {
  return formatScalar(typeOf(first), first) === formatScalar(typeOf(last), last);
}

export function printNat(s: NatStatement): string {
  const words: string[] = [s.nat];
  if (s.address !== null || s.map !== null || s.port !== null) {
    if (s.family !== null && (s.address !== null || s.map !== null)) words.push(s.family);
    const address =
      s.map !== null
        ? `${s.map.key.text} map ${printMapRef(typesOf(s.map.key), s.map.map)}`
        : s.address === null
          ? ''
          : printAddresses(s.address, s.port !== null);
    const port = s.port === null ? '' : `:${printPorts(s.port)}`;
    words.push('to', `${address}${port}`);
  }
  if (s.flags.length > 0) words.push(s.flags.join(','));
  return words.join(' ');
}

function printAddresses(range: [Scalar, Scalar], withPort: boolean): string {
  const type = typeOf(range[0]);
  const one = (address: Scalar): string => {
    const text = formatScalar(type, address);
    return withPort && type === 'ipv6_addr' ? `[${text}]` : text;
  };
  return isOne(range) ? one(range[0]) : `${one(range[0])}-${one(range[1])}`;
}

function printPorts([first, last]: [number, number]): string {
  return first === last ? String(first) : `${first}-${last}`;
}

export function natJson(s: NatStatement): unknown {
  const body: Record<string, unknown> = {};
  if (s.family !== null && (s.address !== null || s.map !== null)) body['family'] = s.family;
  if (s.map !== null) {
    const { key, map } = s.map;
    body['addr'] = { map: { key: key.json, data: mapRefJson(typesOf(key), map) } };
  }
  if (s.address !== null) {
    const [first, last] = s.address.map((a) => jsonScalar(typeOf(a), a));
    body['addr'] = isOne(s.address) ? first : { range: [first, last] };
  }
  if (s.port !== null) body['port'] = s.port[0] === s.port[1] ? s.port[0] : { range: s.port };
  if (s.flags.length > 0) body['flags'] = s.flags.length === 1 ? s.flags[0] : s.flags;
  return { [s.nat]: Object.keys(body).length === 0 ? null : body };
}
