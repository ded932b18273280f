// Neutral rules as `tc filter add` lines (tc(8), tc-flower(8)).
//
// A rule without fields but with a protocol is still flower: matchall says the same and offloads differently. `count` needs no
// word: tc counts every filter. What flower has no key for, or only an exact one, is refused by name.

import { missingPrerequisite } from './draft.ts';
import { refuse } from './refusal.ts';
import {
  ETH_QINQ,
  ETH_VLAN,
  etherTypeName,
  formatCtState,
  ipProtoName,
  portName,
} from './names.ts';
import { FIELD_BITS, prefixLength } from './rule.ts';
import type { FieldMatch, MaskMatch, Rule } from './rule.ts';
import { tellTcActions } from './tc-actions-print.ts';
import { TC_KEYS } from './tc-keys.ts';
import type { TcKey } from './tc-keys.ts';
import { asRun, Telling } from './telling.ts';
import type { Told } from './telling.ts';
import { exactValue, formatIp, formatLabel, formatMacWords, isFull } from './values.ts';

/** The line without its end. `device` is used where the rule names none. */
export function tellTc(rule: Rule, device = 'p0'): Told {
  const telling = new Telling(rule);
  tellHead(telling, device);
  const missing = missingPrerequisite(rule);
  if (missing !== null) telling.refuseField(missing.match, missing.needs);
  tellSpecialKeys(telling);
  for (const key of TC_KEYS) {
    const match = telling.take(key.field);
    if (match !== null) tellKey(telling, key, match);
  }
  telling.refuseUnsaid();
  if (rule.actions.length > 0) tellTcActions(telling);
  return telling.end();
}

function tellHead(telling: Telling, device: string): void {
  const { rule } = telling;
  const where = rule.device === '' ? device : rule.device;
  const block = where.startsWith('block ');
  telling.say(
    'tc',
    'filter',
    'add',
    ...(block ? [where] : ['dev', portName(where), rule.direction]),
  );
  const outer = telling.take('vlan_tpid');
  const type = telling.take('eth_type');
  const shown = outer ?? type;
  const protocol = exactValue(shown);
  if (shown !== null && protocol < 0) telling.refuseMask(shown, 'an exact type');
  telling.say('protocol', shown === null ? 'all' : etherTypeName(Math.max(protocol, 0)));
  if (rule.priority < 1 || rule.priority > 0xffff) {
    const remedy = 'a priority from 1 to 65535';
    telling.refusals.push(refuse('dialect-priority', String(rule.priority), null, remedy));
  }
  telling.say('pref', String(rule.priority));
  if (rule.handle > 0) telling.say('handle', String(rule.handle));
  if (rule.group > 0) telling.say('chain', String(rule.group));
  telling.say('flower');
  if (rule.residence !== 'any') telling.say(rule.residence === 'hardware' ? 'skip_sw' : 'skip_hw');
}

function tellSpecialKeys(telling: Telling): void {
  const { rule } = telling;
  const port = telling.take('in_port');
  if (port !== null) {
    if (exactValue(port) < 0) telling.refuseMask(port, 'an exact port');
    telling.say('indev', portName(String(exactValue(port))));
  }
  tellInnerTypes(telling);
  const proto = telling.take('ip_proto');
  if (proto !== null) {
    if (exactValue(proto) < 0) telling.refuseMask(proto, 'an exact protocol');
    telling.say('ip_proto', ipProtoName(Math.max(exactValue(proto), 0)));
  }
  const frag = telling.take('ip_frag');
  if (frag?.kind === 'mask') {
    const flags: string[] = [];
    if ((frag.mask[0] & 1) === 1) flags.push((frag.value[0] & 1) === 1 ? 'frag' : 'nofrag');
    if ((frag.mask[0] & 2) === 2)
      flags.push((frag.value[0] & 2) === 2 ? 'firstfrag' : 'nofirstfrag');
    telling.say('ip_flags', flags.join('/'));
  }
  const state = telling.take('ct_state');
  if (state?.kind === 'mask') telling.say('ct_state', formatCtState(state.value[0], state.mask[0]));
  const op = telling.take('arp_op');
  if (op !== null) {
    const value = exactValue(op);
    if (op.kind === 'mask' && value < 0 && op.mask[0] <= 0xff)
      telling.say('arp_op', `${op.value[0]}/${op.mask[0]}`);
    else if (value < 0 || value > 0xff) telling.refuseMask(op, 'an operation of up to 255');
    else telling.say('arp_op', ['', 'request', 'reply'][value] || String(value));
  }
  if (rule.direction === 'egress' && rule.device.startsWith('block '))
    telling.refuseAttribute('direction of a shared block', 'a device');
}

/** The types below the tags, where there are tags. */
function tellInnerTypes(telling: Telling): void {
  const outer = exactValue(telling.take('vlan_tpid'));
  const inner = telling.take('cvlan_tpid');
  const type = telling.take('eth_type');
  if (outer < 0) return;
  if (inner !== null) {
    const tpid = exactValue(inner);
    if (tpid !== ETH_VLAN && tpid !== ETH_QINQ)
      telling.refuseMask(inner, 'cvlan_tpid 802.1Q or 802.1ad');
    telling.say('vlan_ethtype', etherTypeName(Math.max(tpid, 0)));
  }
  if (type === null) return;
  if (exactValue(type) < 0) telling.refuseMask(type, 'an exact type');
  const key = inner === null ? 'vlan_ethtype' : 'cvlan_ethtype';
  telling.say(key, etherTypeName(Math.max(exactValue(type), 0)));
}

function tellKey(telling: Telling, key: TcKey, match: FieldMatch): void {
  const bits = FIELD_BITS[match.field];
  if (key.form === 'port') {
    const run = asRun(match, bits);
    if (run === null) telling.refuseMask(match, 'one range of ports');
    else telling.say(key.key, run.low === run.high ? `${run.low}` : `${run.low}-${run.high}`);
    return;
  }
  if (match.kind === 'range') {
    telling.refuseRange(match, bits);
    return;
  }
  const text = keyText(telling, key, match);
  if (text !== '') telling.say(key.key, text);
}

function keyText(telling: Telling, key: TcKey, match: MaskMatch): string {
  const { field, value, mask } = match;
  const full = isFull(field, mask);
  switch (key.form) {
    case 'mac':
      return formatMacWords(value) + (full ? '' : `/${formatMacWords(mask)}`);
    case 'ip':
    case 'ipv4': {
      const length = prefixLength(field, mask);
      if (length < 0) telling.refuseMask(match, 'a prefix');
      return formatIp(value) + (full ? '' : `/${length}`);
    }
    case 'label':
      return formatLabel(value) + (full ? '' : `/${formatLabel(mask)}`);
    case 'exact': {
      if (!full) telling.refuseMask(match, 'an exact value');
      const narrow = value.length === 1 || value[0] === 0;
      if (!narrow) telling.refuseMask(match, 'a value of up to 32 bits');
      return String(value[value.length - 1]);
    }
    case 'hex':
      return hex(value[0]) + (full ? '' : `/${hex(mask[0])}`);
    case 'byte':
      return `${value[0]}` + (full ? '' : `/${hex(mask[0])}`);
    case 'decimal':
      return `${value[0]}` + (full ? '' : `/${mask[0]}`);
    default:
      return hex(value[0]) + (full ? '' : `/${hex(mask[0])}`);
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
