// Rule sets as `nft list` prints them (nftables 1.0.6).

import type { MatchStatement, Statement } from './ast.ts';
import { printCtSet } from './ct-statements.ts';
import { printLabelMatch } from './ct-label.ts';
import { SOURCE_CT, SOURCE_META, META_L4PROTO, META_NFPROTO, typesOf } from './fields.ts';
import { printLimit } from './limit.ts';
import { printLog } from './log.ts';
import { printSetMark } from './mark-value.ts';
import { printNat } from './nat-print.ts';
import { handleText, objectsOf, printObject } from './objects.ts';
import { printQuotaLimit } from './quota.ts';
import { priorityText } from './ruleset.ts';
import type { BaseHook, Chain, FlowTableConfig, Rule, Table } from './ruleset.ts';
import { printSetUpdate } from './set-statement.ts';
import { printMapRef, printRhs, printSet } from './set-print.ts';
import { bitNames, formatScalar, isBitmask } from './types.ts';

/** A whole table, or those parts that `only` picks. */
export function printTable(
  table: Table,
  handles: boolean,
  only: (part: string) => boolean,
): string {
  const parts: string[] = [];
  if (only('object')) for (const o of objectsOf(table)) parts.push(printObject(o, handles));
  if (only('set'))
    for (const s of table.sets) parts.push(printSet(s, handleText(s.handle, handles)));
  if (only('flowtable')) for (const f of table.flowtables) parts.push(printFlowTable(f, handles));
  if (only('chain')) for (const c of table.chains) parts.push(printChain(c, handles));
  return wrapTable(table, parts, handles);
}

/** Parts of a table inside its braces. */
export function wrapTable(table: Table, parts: readonly string[], handles: boolean): string {
  const tail = handleText(table.handle, handles);
  return `table ${table.family} ${table.name} {${tail}\n${parts.join('\n')}}\n`;
}

export function printFlowTable(table: FlowTableConfig, handles: boolean): string {
  let text = `\tflowtable ${table.name} {${handleText(table.handle, handles)}\n`;
  text += `\t\thook ingress priority ${priorityText(table.priority, 'ingress')}\n`;
  if (table.devices.length > 0) text += `\t\tdevices = { ${table.devices.join(', ')} }\n`;
  if (table.offload) text += '\t\tflags offload\n';
  if (table.counter) text += '\t\tcounter\n';
  return `${text}\t}\n`;
}

export function printChain(chain: Chain, handles: boolean): string {
  let text = `\tchain ${chain.name} {${handleText(chain.handle, handles)}\n`;
  const { base } = chain;
  if (base !== null) {
    const priority = priorityText(base.priority, base.hook);
    text += `\t\ttype ${base.type} hook ${base.hook}${devicesText(base)} priority ${priority}; policy ${base.policy};\n`;
  }
  for (const rule of chain.rules)
    text += `\t\t${printRule(rule)}${handleText(rule.handle, handles)}\n`;
  return `${text}\t}\n`;
}

/** The devices of an ingress chain. */
function devicesText({ devices }: BaseHook): string {
  if (devices.length === 0) return '';
  return devices.length === 1 ? ` device "${devices[0]}"` : ` devices = { ${devices.join(', ')} }`;
}

/** One rule without its handle. */
export function printRule(rule: Rule): string {
  const words: string[] = [];
  rule.statements.forEach((s, i) => {
    if (!isImplied(s, rule.statements[i + 1])) words.push(printStatement(s));
  });
  if (rule.comment !== null) words.push(`comment "${rule.comment}"`);
  return words.join(' ');
}

/** A written protocol match that the next match implies anyhow: nft drops it from the listing. */
export function isImplied(s: Statement, next: Statement | undefined): boolean {
  if (s.kind !== 'match' || next === undefined || next.kind !== 'match') return false;
  if (s.op !== '==' || s.right.kind !== 'value' || s.mask >= 0) return false;
  const isMeta = s.left.source === SOURCE_META;
  const isIcmpType = s.left.text === 'icmp type' || s.left.text === 'icmpv6 type';
  if (isIcmpType && next.left.icmpTypes.length === 1 && next.left.icmpTypes[0] === s.right.value)
    return true;
  if (next.left.source === SOURCE_CT) return false;
  if (isMeta && s.left.key === META_L4PROTO && next.left.l4proto === s.right.value) return true;
  return isMeta && s.left.key === META_NFPROTO && next.left.family === s.right.value;
}

function printStatement(s: Statement): string {
  switch (s.kind) {
    case 'match':
      return printMatch(s);
    case 'counter':
      return `counter packets ${s.values[0]} bytes ${s.values[1]}`;
    case 'counter-name':
      return `counter name "${s.name}"`;
    case 'quota':
      return `quota ${printQuotaLimit(s.quota)}`;
    case 'quota-name':
      return `quota name "${s.name}"`;
    case 'jump':
      return `${s.goto ? 'goto' : 'jump'} ${s.chain}`;
    case 'flow':
      return `flow add @${s.flowtable}`;
    case 'log':
      return printLog(s);
    case 'ct-label':
      return printLabelMatch(s);
    case 'reject':
      return printReject(s.type, s.code);
    case 'set-mark':
      return printSetMark(s);
    case 'vmap':
      return `${s.key.text} vmap ${printMapRef(typesOf(s.key), s.map)}`;
    case 'map-mark':
      return `${s.target} mark set ${s.key.text} map ${printMapRef(typesOf(s.key), s.map)}`;
    case 'limit':
      return printLimit(s);
    case 'comment':
      return '';
    case 'ct-set':
      return printCtSet(s);
    case 'nat':
      return printNat(s);
    case 'set-update':
      return printSetUpdate(s);
    default:
      return s.kind;
  }
}

function printReject(type: string, code: string): string {
  if (type === 'default' || (type === 'icmpx' && code === 'port-unreachable')) return 'reject';
  return type === 'tcp reset' ? 'reject with tcp reset' : `reject with ${type} ${code}`;
}

function printMatch(s: MatchStatement): string {
  const { type, text } = s.left;
  if (isBitmask(type)) return printBitMatch(s);
  const right = printRhs(typesOf(s.left), s.right);
  if (s.mask >= 0) return `${text} & ${formatScalar(type, s.mask)} ${s.op} ${right}`;
  return `${text} ${s.op === '==' ? '' : `${s.op} `}${right}`;
}

function printBitMatch({ left, mask, op, right }: MatchStatement): string {
  const { type, text } = left;
  if (right.kind !== 'value')
    return `${text} ${op === '!=' ? '!= ' : ''}${printRhs(typesOf(left), right)}`;
  const value = right.value as number;
  const names = bitNames(type, value);
  if (op === 'any') return `${text} ${names.join(',')}`;
  if (op === 'none') return `${text} ! ${names.join(',')}`;
  if (mask >= 0) {
    const masks = bitNames(type, mask);
    if (masks.length === 1) return `${text} & ${masks[0]} ${op} ${names.join(',')}`;
    return `${text} ${op === '==' ? '' : `${op} `}${names.join(',')} / ${masks.join(',')}`;
  }
  // 1.0.6 lists several flags as a number here, several states by name.
  const isNumber = type === 'tcp_flag' && names.length > 1;
  return `${text} ${op} ${isNumber ? `0x${value.toString(16)}` : names.join(' | ')}`;
}
