// Neutral actions as the actions of a tc filter, joined by `pipe` (tc-actions(8)).
//
// Neighbouring field writes become one pedit. Checksums are not mended by pedit: `checksum` stays what it is, and rules from
// dialects that mend by themselves get a csum after the writes (the kernel's own drivers expect it there).

import {
  ETH_IPV4,
  ETH_IPV6,
  ETH_MPLS_MC,
  ETH_MPLS_UC,
  etherTypeName,
  ipProtoName,
  portName,
} from './names.ts';
import { matchOf } from './rule.ts';
import type { Action, FieldName, NatRange, Rule, TunnelHeader } from './rule.ts';
import { PEDIT_FIELDS } from './tc-keys.ts';
import type { Telling } from './telling.ts';
import { exactValue, formatIp, formatLabel, formatMacWords, isFull } from './values.ts';

type Set = Action & { kind: 'set_field' };

const FINAL = new Set(['drop', 'pass', 'trap', 'continue', 'output', 'goto', 'police', 'meter']);

export function tellTcActions(telling: Telling): void {
  const groups: { words: string[]; final: boolean }[] = [];
  const { actions } = telling.rule;
  for (let at = 0; at < actions.length; at++) {
    const action = actions[at];
    if (action.kind === 'count') continue;
    const munge = mungeWords(telling.rule, action);
    if (munge !== null) {
      const words = ['pedit', 'ex', ...munge];
      const first = at;
      for (; at + 1 < actions.length; at++) {
        const more = mungeWords(telling.rule, actions[at + 1]);
        if (more === null) break;
        words.push(...more);
      }
      groups.push({ words, final: false });
      const mended = mendedHeaders(telling.rule, actions.slice(first, at + 1));
      if (mended.length > 0)
        groups.push({ words: ['csum', ...mended.join(' and ').split(' ')], final: false });
      continue;
    }
    const vlan = vlanModify(actions, at);
    if (vlan !== null) {
      groups.push({ words: vlan.words, final: false });
      at += vlan.used - 1;
      continue;
    }
    const words = actionWords(action);
    if (words === null) telling.refuseAction(action, remedyFor(action));
    else groups.push({ words, final: FINAL.has(action.kind) });
  }
  groups.forEach(({ words, final }, at) => {
    telling.say('action', ...words);
    if (!final && (at + 1 < groups.length || defaultStops(words))) telling.say('pipe');
  });
}

/** Headers whose checksums the writes change; none for tc's own rules, which say it themselves. */
function mendedHeaders(rule: Rule, writes: readonly Action[]): string[] {
  if (rule.source.dialect === 'tc') return [];
  const four = exactValue(matchOf(rule, 'eth_type')) === ETH_IPV4;
  const l4 = l4Name(rule);
  const headers = new Set<string>();
  for (const write of writes) {
    const field = write.kind === 'set_field' ? write.field : 'ip_ttl';
    if (four && /^ip/.test(field)) headers.add('ip');
    if (l4 !== '' && /^(ipv[46]_|[sd]port)/.test(field)) headers.add(l4);
  }
  return [...headers];
}

/** pedit and csum stop with `ok` when nothing is said; the others go on. */
function defaultStops(words: string[]): boolean {
  return words[0] === 'pedit' || words[0] === 'csum';
}

function remedyFor(action: Action): string {
  if (action.kind === 'rss') return 'one queue (tc has no spreading)';
  if (action.kind === 'set_field') return 'a field that pedit, vlan, mpls or skbedit writes';
  return '';
}

/** `munge ...` for what pedit writes; null for other actions. */
function mungeWords(rule: Rule, action: Action): string[] | null {
  const type = exactValue(matchOf(rule, 'eth_type'));
  const six = type === ETH_IPV6;
  if (action.kind === 'dec_ttl') {
    if (type === ETH_MPLS_UC || type === ETH_MPLS_MC) return null;
    return six ? ['munge', 'ip6', 'hoplimit', 'add', '255'] : ['munge', 'ip', 'ttl', 'add', '255'];
  }
  if (action.kind !== 'set_field') return null;
  const { field, value, mask } = action;
  const known = PEDIT_FIELDS.filter((one) => one.field === field);
  if (known.length === 0) return null;
  const target = known.length > 1 && six ? known[1] : known[0];
  const header = target.header === 'L4' ? l4Name(rule) : target.header;
  if (header === '') return null;
  const retain = isFull(field, mask) ? [] : ['retain', pedited(field, mask)];
  return ['munge', header, target.what, 'set', pedited(field, value), ...retain];
}

function l4Name(rule: Rule): string {
  const name = ipProtoName(exactValue(matchOf(rule, 'ip_proto')));
  return ['tcp', 'udp', 'sctp'].includes(name) ? name : '';
}

function pedited(field: FieldName, words: readonly number[]): string {
  if (field === 'eth_dst' || field === 'eth_src') return formatMacWords(words);
  if (field.startsWith('ipv4') || field.startsWith('ipv6')) return formatIp(words);
  if (field === 'eth_type' || field === 'ip_tos') return `0x${words[0].toString(16)}`;
  return String(words[0]);
}

/** A run of tag writes that begins with the id, as one `vlan modify`. */
function vlanModify(actions: Action[], at: number): { words: string[]; used: number } | null {
  const first = actions[at];
  if (!isTagWrite(first, 'vlan_id')) return null;
  const words = ['vlan', 'modify', 'id', String(first.value[0])];
  let used = 1;
  const second = actions.at(at + used);
  if (at + used < actions.length && second !== undefined && isTagWrite(second, 'vlan_pcp')) {
    words.push('priority', String(second.value[0]));
    used++;
  }
  const third = at + used < actions.length ? actions[at + used] : undefined;
  if (third !== undefined && isTagWrite(third, 'vlan_tpid')) {
    words.push('protocol', etherTypeName(third.value[0]));
    used++;
  }
  return { words, used };
}

function isTagWrite(action: Action, field: FieldName): action is Set {
  return action.kind === 'set_field' && action.field === field && isFull(field, action.mask);
}

/** Words of one action without its control; null for what tc cannot do. */
function actionWords(action: Action): string[] | null {
  switch (action.kind) {
    case 'drop':
    case 'pass':
    case 'continue':
      return [action.kind];
    case 'trap':
      return ['trap'];
    case 'goto':
      return ['goto', 'chain', String(action.group)];
    case 'output':
      return ['mirred', 'egress', 'redirect', 'dev', portName(action.port)];
    case 'mirror':
      return ['mirred', 'egress', 'mirror', 'dev', portName(action.port)];
    case 'queue':
      return ['skbedit', 'queue_mapping', String(action.index)];
    case 'mark':
      return ['skbedit', 'mark', masked(action.value, action.mask)];
    case 'set_field':
      return setWords(action);
    case 'push_vlan': {
      const tag = ['id', String(action.id), 'priority', String(action.pcp)];
      return ['vlan', 'push', ...tag, 'protocol', etherTypeName(action.tpid)];
    }
    case 'pop_vlan':
      return ['vlan', 'pop'];
    case 'push_mpls': {
      const { tpid, label, tc, ttl, bos } = action;
      const rest = ['label', `${label}`, 'tc', `${tc}`, 'ttl', `${ttl}`, 'bos', `${bos}`];
      return ['mpls', 'push', 'protocol', etherTypeName(tpid), ...rest];
    }
    case 'pop_mpls':
      return ['mpls', 'pop', 'protocol', etherTypeName(action.tpid)];
    case 'dec_ttl':
      return ['mpls', 'dec_ttl'];
    case 'encap':
      return tunnelWords(action.tunnel);
    case 'decap':
      return ['tunnel_key', 'unset'];
    case 'sample': {
      const trunc = action.truncBytes > 0 ? ['trunc', String(action.truncBytes)] : [];
      return ['sample', 'rate', String(action.rate), 'group', String(action.group), ...trunc];
    }
    case 'police':
      return policeWords(action);
    case 'meter':
      return ['police', 'index', String(action.id)];
    case 'checksum':
      return ['csum', ...action.headers.join(' and ').split(' ')];
    case 'ct':
      return ctWords(action);
    default:
      return null;
  }
}

function setWords(action: Set): string[] | null {
  const value = String(action.value[0]);
  if (!isFull(action.field, action.mask)) return null;
  if (action.field === 'skb_priority') return ['skbedit', 'priority', value];
  const mpls = /^mpls_(label|tc|bos|ttl)$/.exec(action.field);
  return mpls === null ? null : ['mpls', 'modify', mpls[1], value];
}

function policeWords(police: Action & { kind: 'police' }): string[] {
  const verdicts = { drop: 'drop', pass: 'ok', pipe: 'pipe', reclassify: 'reclassify' };
  const mtu = police.mtuBytes > 0 ? ['mtu', String(police.mtuBytes)] : [];
  const rate = ['rate', `${Math.round(police.rateBytesPerS * 8)}bit`];
  const both = `${verdicts[police.exceed]}/${verdicts[police.conform]}`;
  return ['police', ...rate, 'burst', `${police.burstBytes}`, ...mtu, 'conform-exceed', both];
}

function tunnelWords(tunnel: TunnelHeader): string[] {
  const words = ['tunnel_key', 'set'];
  if (tunnel.id !== null) words.push('id', String(tunnel.id));
  words.push('src_ip', tunnel.src, 'dst_ip', tunnel.dst);
  if (tunnel.dstPort !== null) words.push('dst_port', String(tunnel.dstPort));
  if (tunnel.tos !== null) words.push('tos', String(tunnel.tos));
  if (tunnel.ttl !== null) words.push('ttl', String(tunnel.ttl));
  if (!tunnel.checksum) words.push('nocsum');
  if (tunnel.dontFragment) words.push('nofrag');
  return words;
}

function ctWords(ct: Action & { kind: 'ct' }): string[] {
  const words = ['ct'];
  if (ct.clear) words.push('clear');
  if (ct.commit) words.push('commit');
  if (ct.force) words.push('force');
  if (ct.zone > 0) words.push('zone', String(ct.zone));
  if (ct.mark !== null) words.push('mark', masked(ct.mark.value, ct.mark.mask));
  if (ct.label !== null) {
    const mask = isFull('ct_label', ct.label.mask) ? '' : `/${formatLabel(ct.label.mask)}`;
    words.push('label', formatLabel(ct.label.value) + mask);
  }
  if (ct.nat === 'restore') words.push('nat');
  else if (ct.nat !== null) words.push('nat', ...natWords(ct.nat));
  return words;
}

function natWords(nat: NatRange): string[] {
  const run = (low: string, high: string): string => (low === high ? low : `${low}-${high}`);
  const words = [nat.direction, 'addr', run(nat.addressLow, nat.addressHigh)];
  if (nat.portLow > 0) words.push('port', run(String(nat.portLow), String(nat.portHigh)));
  return words;
}

function masked(value: number, mask: number): string {
  const text = `0x${value.toString(16)}`;
  return mask === 0xffffffff ? text : `${text}/0x${mask.toString(16)}`;
}
