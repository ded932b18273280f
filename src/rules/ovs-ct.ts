// OVS's ct action, text to neutral and back: ct, ct(commit,zone=N,mark=V/M,label=V/M,nat(src=A-B:P-Q)).
// Not here: helper, timeout, and nat's persistent, hash and random.

import type { OvsCursor } from './ovs-cursor.ts';
import type { Action, NatRange, Place } from './rule.ts';
import { formatHex, formatIp, isFull, parseIp } from './values.ts';

type Ct = Action & { kind: 'ct' };

/** After the word `ct`; null for one without arguments. */
export function parseCtAction(cursor: OvsCursor | null, at: Place): Ct {
  const ct: Ct = {
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
  if (cursor === null || !cursor.takeIf('(')) return ct;
  do {
    if (cursor.takeIf('force_commit')) ct.force = true;
    else if (cursor.takeIf('commit')) ct.commit = true;
    else if (cursor.takeIf('zone=')) ct.zone = cursor.number(0xffff);
    else if (cursor.takeIf('mark=')) {
      const { value, mask } = cursor.masked('ct_mark', 'hex');
      ct.mark = { value: (value[0] & mask[0]) >>> 0, mask: mask[0] };
    } else if (cursor.takeIf('label=')) {
      const { value, mask } = cursor.masked('ct_label', 'hex');
      ct.label = { value: value.map((word, i) => (word & mask[i]) >>> 0), mask };
    } else if (cursor.match(/nat(?!\w)/) !== '') ct.nat = parseNat(cursor);
    else cursor.fail('commit, force_commit, zone=, mark=, label= or nat');
    if (ct.force && ct.commit) cursor.fail('one of commit and force_commit');
  } while (cursor.takeIf(','));
  cursor.expect(')');
  ct.commit ||= ct.force;
  return ct;
}

/** After `nat`: nothing, or `(src=A[-B][:P[-Q]])`; IPv6 addresses with ports are in brackets. */
function parseNat(cursor: OvsCursor): NatRange | 'restore' {
  if (!cursor.takeIf('(')) return 'restore';
  const direction = cursor.match(/src|dst/);
  if (direction === '') cursor.fail('src or dst');
  const nat: NatRange = {
    direction: direction as 'src' | 'dst',
    addressLow: '',
    addressHigh: '',
    portLow: 0,
    portHigh: 0,
  };
  if (cursor.takeIf('=')) {
    const six = '[0-9a-fA-F:]*:[0-9a-fA-F:.]*';
    const text = cursor.match(
      new RegExp(`\\[${six}\\](-\\[${six}\\])?|[0-9.]+(-[0-9.]+)?|${six}(-${six})?`),
    );
    const [low, high] = text.replace(/[[\]]/g, '').split('-').map(parseIp);
    if (low === null || high === null) cursor.fail('an address or a range of addresses');
    nat.addressLow = formatIp(low.words);
    nat.addressHigh = formatIp((high ?? low).words);
    if (cursor.takeIf(':')) {
      const ports = cursor.takeAs('a port or a range of ports', parsePorts);
      nat.portLow = ports[0];
      nat.portHigh = ports[1];
    }
  }
  cursor.expect(')');
  return nat;
}

function parsePorts(text: string): [low: number, high: number] | null {
  const parts = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
  if (parts === null) return null;
  const low = Number(parts[1]);
  const high = Number(parts[2] ?? parts[1]);
  return low > 0 && high >= low && high <= 0xffff ? [low, high] : null;
}

/** Text of the action; '' for one that OVS cannot say. */
export function formatCtAction(ct: Ct): string {
  if (ct.clear) return 'ct_clear';
  const parts: string[] = [];
  if (ct.commit) parts.push(ct.force ? 'force_commit' : 'commit');
  if (ct.zone > 0) parts.push(`zone=${ct.zone}`);
  if (ct.mark !== null) parts.push(`mark=${masked([ct.mark.value], [ct.mark.mask], 'ct_mark')}`);
  if (ct.label !== null) parts.push(`label=${masked(ct.label.value, ct.label.mask, 'ct_label')}`);
  if (ct.nat === 'restore') parts.push('nat');
  else if (ct.nat !== null) parts.push(formatNat(ct.nat));
  return parts.length === 0 ? 'ct' : `ct(${parts.join(',')})`;
}

function masked(value: number[], mask: number[], field: 'ct_mark' | 'ct_label'): string {
  return isFull(field, mask) ? formatHex(value) : `${formatHex(value)}/${formatHex(mask)}`;
}

function formatNat(nat: NatRange): string {
  if (nat.addressLow === '') return `nat(${nat.direction})`;
  const bracket = nat.portLow > 0 && nat.addressLow.includes(':');
  const shown = (address: string): string => (bracket ? `[${address}]` : address);
  let text = shown(nat.addressLow);
  if (nat.addressHigh !== nat.addressLow) text += `-${shown(nat.addressHigh)}`;
  if (nat.portLow > 0) text += `:${nat.portLow}`;
  if (nat.portHigh > nat.portLow) text += `-${nat.portHigh}`;
  return `nat(${nat.direction}=${text})`;
}
