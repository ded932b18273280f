// What must hold of nat statements: what nft itself refuses (an inet rule that does not say which addresses, a port without a protocol
// that has ports), and what the kernel refuses (a chain of the wrong type or hook, followed through jumps).

import { EINVAL, EOPNOTSUPP } from '../../../../driver/errno.ts';
import { hasPorts } from '../conntrack/tuple.ts';
import type { Family, MapRef, NatKind, NatStatement, Place, SetElement, Statement } from './ast.ts';
import { META_L4PROTO, META_NFPROTO, SOURCE_META } from './fields.ts';
import { isRange } from './key-order.ts';
import { NftError } from './lexer.ts';
import { refuseByKernel } from './refusal.ts';
import type { BaseHook, Chain, Table } from './ruleset.ts';
import { lookUp, mapTypes, refuseTypes } from './set-use.ts';
import type { TypeName } from './types.ts';

/** Hooks in which each kind may stand. */
const HOOKS: Readonly<Record<NatKind, readonly string[]>> = {
  snat: ['postrouting', 'input'],
  dnat: ['prerouting', 'output'],
  masquerade: ['postrouting'],
  redirect: ['prerouting', 'output'],
};

/** Chains of type nat are served from conntrack's priority on. */
const LOWEST_NAT_PRIORITY = -200;

/** Whether the kernel makes a base chain of this type at this hook. */
export function isNatChainRefused(base: BaseHook): boolean {
  if (base.type !== 'nat') return false;
  return base.hook === 'forward' || base.priority <= LOWEST_NAT_PRIORITY;
}

/** Refuses what nft refuses about a rule's nat statements, and settles their family. Throws NftError. */
export function checkNat(family: Family, statements: readonly Statement[]): void {
  let network: 'ip' | 'ip6' | null = null;
  let transport = false;
  for (const s of statements) {
    if (s.kind === 'match') {
      const isMeta = s.left.source === SOURCE_META;
      if (s.left.family !== 0) network = s.left.family === 2 ? 'ip' : 'ip6';
      if (isMeta && s.left.key === META_NFPROTO && s.right.kind === 'value')
        network = s.right.value === 2 ? 'ip' : 'ip6';
      if (hasPorts(s.left.l4proto) || s.left.text.startsWith('th ')) transport = true;
      const names = isMeta && s.left.key === META_L4PROTO;
      if (names || s.left.text === 'ip protocol' || s.left.text === 'ip6 nexthdr')
        transport ||= protocolsOf(s).every(hasPorts);
    }
    if (s.kind !== 'nat') continue;
    if (family === 'netdev')
      throw new NftError('NAT is only supported for IPv4/IPv6', s.start, s.start + s.nat.length);
    settleFamily(family, s, network);
    const mapped = s.map !== null && hasPorts(s.map.key.l4proto);
    if (s.port !== null && !transport && !mapped)
      throw new NftError(
        'transport protocol mapping is only valid after transport protocol match',
        s.portPlace?.start ?? s.start,
        s.portPlace?.end ?? s.end,
        { start: s.start, end: s.start + s.nat.length },
      );
  }
}

function protocolsOf(s: Extract<Statement, { kind: 'match' }>): number[] {
  const elements = s.right.kind === 'set' ? s.right.elements : [s.right];
  return elements.map((e) => (e.kind === 'value' ? Number(e.value) : 0));
}

function settleFamily(family: Family, s: NatStatement, network: 'ip' | 'ip6' | null): void {
  if (s.map !== null) {
    if (s.family === null && family === 'inet')
      throw new NftError(
        'ip or ip6 must be specified with address for inet tables.',
        s.start,
        s.start + s.nat.length,
      );
    return;
  }
  if (s.address === null) {
    s.family = null;
    return;
  }
  const own = s.address[0] instanceof Uint8Array ? 'ip6' : 'ip';
  const wanted = family === 'inet' ? (s.family ?? network) : family;
  if (wanted === null)
    refuse(`specify \`${s.nat} ip' or '${s.nat} ip6' in ${family} table to disambiguate`, s);
  if (wanted !== own)
    refuse(`Could not resolve hostname: Address family for hostname not supported`, s);
  s.family = family === 'inet' ? own : null;
}

function refuse(message: string, place: Place): never {
  throw new NftError(message, place.start, place.end);
}

/** Refuses a map whose data are no addresses of the statement's family, and settles what the listing says. Throws NftError. */
export function checkNatMap(table: Table, s: NatStatement): void {
  if (s.map === null) return;
  const { key, map } = s.map;
  const found = mapTypes(table, key, map);
  const own = s.family ?? (table.family === 'ip6' ? 'ip6' : 'ip');
  const wanted: TypeName = own === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  const isPair = String(found) === `${wanted},inet_service`;
  if (!isPair && String(found) !== wanted) {
    const place = { start: key.place?.start ?? map.start, end: map.end };
    refuseTypes([wanted], found, place, { start: s.start, end: s.start + s.nat.length });
  }
  const set = map.kind === 'named' ? lookUp(table, map.name, map) : null;
  const isRanged = set === null ? checkAnonymous(map) : set.intervalData;
  s.family = table.family === 'inet' || isPair || isRanged ? own : null;
}

/** Whether a map of a rule gives ranges; then all of its elements must (the kernel reserves room for both ends). */
function checkAnonymous(map: MapRef): boolean {
  if (map.kind === 'named') return false;
  const isRanged = (e: SetElement): boolean => e.data?.kind === 'value' && isRange(e.data.value);
  if (!map.elements.some(isRanged)) return false;
  const single = map.elements.find((e) => !isRanged(e));
  if (single !== undefined) refuseByKernel(EINVAL, single);
  return true;
}

/** Refuses nat statements that a base chain reaches where they cannot work. Throws NftError. */
export function checkNatPlaces(table: Table, place: Place): void {
  for (const chain of table.chains)
    if (chain.base !== null) walk(table, chain, chain.base, place, new Set());
}

function walk(table: Table, chain: Chain, base: BaseHook, place: Place, seen: Set<string>): void {
  if (seen.has(chain.name)) return;
  seen.add(chain.name);
  for (const rule of chain.rules)
    for (const s of rule.statements) {
      if (s.kind === 'nat' && (base.type !== 'nat' || !HOOKS[s.nat].includes(base.hook)))
        refuseByKernel(EOPNOTSUPP, place);
      const target = s.kind === 'jump' ? table.chain(s.chain) : undefined;
      if (target !== undefined) walk(table, target, base, place, seen);
    }
}
