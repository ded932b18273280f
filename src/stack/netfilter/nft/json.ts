// Rule sets as `nft -j list` gives them (libnftables-json, schema 1; nftables 1.0.6: no flags of flowtables, Python-like
// spacing).

import type { Family, MatchStatement, Statement } from './ast.ts';
import { labelMatchJson } from './ct-label.ts';
import { ctSetJson } from './ct-statements.ts';
import { typesOf } from './fields.ts';
import { limitJson } from './limit.ts';
import { logJson } from './log.ts';
import { setMarkJson } from './mark-value.ts';
import { natJson } from './nat-print.ts';
import { quotaJson } from './quota.ts';
import { isImplied } from './print.ts';
import type { Chain, FlowTableConfig, Rule, Table } from './ruleset.ts';
import { setUpdateJson } from './set-statement.ts';
import { mapRefJson, rhsJson } from './set-print.ts';
import { isBitmask, jsonScalar } from './types.ts';

const METAINFO = {
  metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 },
};

/** JSON text with the spaces that jansson puts (`": "`, `", "`). */
export function jsonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${jsonText(v)}`);
    return `{${members.join(', ')}}`;
  }
  return JSON.stringify(value);
}

/** The document around objects. */
export function jsonDocument(objects: readonly unknown[]): string {
  return `${jsonText({ nftables: [METAINFO, ...objects] })}\n`;
}

export function tableJson(table: Table): unknown {
  return { table: { family: table.family, name: table.name, handle: table.handle } };
}

export function flowTableJson(table: Table, ft: FlowTableConfig): unknown {
  const dev = ft.devices.length === 1 ? ft.devices[0] : ft.devices;
  return {
    flowtable: {
      family: table.family,
      name: ft.name,
      table: table.name,
      handle: ft.handle,
      hook: 'ingress',
      prio: ft.priority,
      dev,
    },
  };
}

export function chainJson(table: Table, chain: Chain): unknown {
  const { base } = chain;
  const start = {
    family: table.family,
    table: table.name,
    name: chain.name,
    handle: chain.handle,
  };
  if (base === null) return { chain: start };
  const { type, hook, priority, policy } = base;
  return { chain: { ...start, type, hook, prio: priority, policy } };
}

export function ruleJson(table: Table, chain: Chain, rule: Rule): unknown {
  const expr = rule.statements
    .filter((s, i) => !isImplied(s, rule.statements[i + 1]))
    .map((s) => statementJson(s, table.family));
  const start = {
    family: table.family,
    table: table.name,
    chain: chain.name,
    handle: rule.handle,
  };
  return {
    rule: rule.comment === null ? { ...start, expr } : { ...start, comment: rule.comment, expr },
  };
}

/** What a bare `reject` is in a family. */
const REJECT_TYPES = { ip: 'icmp', ip6: 'icmpv6', inet: 'icmpx', netdev: 'icmpx' } as const;

function statementJson(s: Statement, family: Family): unknown {
  switch (s.kind) {
    case 'match':
      return matchJson(s);
    case 'counter':
      return { counter: { packets: s.values[0], bytes: s.values[1] } };
    case 'counter-name':
      return { counter: s.name };
    case 'quota':
      return quotaJson(s.quota);
    case 'quota-name':
      return { quota: s.name };
    case 'jump':
      return { [s.goto ? 'goto' : 'jump']: { target: s.chain } };
    case 'flow':
      return { flow: { op: 'add', flowtable: `@${s.flowtable}` } };
    case 'log':
      return logJson(s);
    case 'ct-label':
      return labelMatchJson(s);
    case 'reject':
      if (s.type === 'default')
        return { reject: { type: REJECT_TYPES[family], expr: 'port-unreachable' } };
      return { reject: s.type === 'tcp reset' ? { type: s.type } : { type: s.type, expr: s.code } };
    case 'set-mark':
      return setMarkJson(s);
    case 'vmap':
      return { vmap: { key: s.key.json, data: mapRefJson(typesOf(s.key), s.map) } };
    case 'map-mark': {
      const value = { map: { key: s.key.json, data: mapRefJson(typesOf(s.key), s.map) } };
      return { mangle: { key: { [s.target]: { key: 'mark' } }, value } };
    }
    case 'limit':
      return limitJson(s);
    case 'ct-set':
      return ctSetJson(s);
    case 'nat':
      return natJson(s);
    case 'set-update':
      return setUpdateJson(s);
    case 'comment':
      return { comment: s.text };
    default:
      return { [s.kind]: null };
  }
}

function matchJson(s: MatchStatement): unknown {
  const { type } = s.left;
  const op = s.op === 'any' ? 'in' : s.op === 'none' ? '!' : s.op;
  const left = s.mask >= 0 ? { '&': [s.left.json, jsonScalar(type, s.mask)] } : s.left.json;
  return { match: { op, left, right: rightJson(s) } };
}

/** Several bits compared as a whole are no list: a number for flags of TCP, else a sum of bits. */
function rightJson(s: MatchStatement): unknown {
  const { type } = s.left;
  const right = rhsJson(typesOf(s.left), s.right);
  if (!Array.isArray(right) || s.mask >= 0 || (s.op !== '==' && s.op !== '!=')) return right;
  if (!isBitmask(type) || s.right.kind !== 'value') return right;
  return type === 'tcp_flag' ? s.right.value : { '|': right };
}
