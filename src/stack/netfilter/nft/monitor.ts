// `nft monitor`: each committed change as a line, text or JSON, and after a transaction (in text) its generation.
//
// As recorded from nftables 1.0.6: a rule that stands between two others is printed with the handle of the one before it;
// flowtables and anonymous sets make no lines; deletions of rules give the handle only, of sets and chains the name only.
// The process number after the generation is made up: 1000 and the number of the transaction.

import type { MapRef, Statement } from './ast.ts';
import type { Change } from './changes.ts';
import { chainJson, jsonText, ruleJson, tableJson } from './json.ts';
import { deletedJson, objectJson, printObjectLine } from './objects.ts';
import { printRule } from './print.ts';
import { priorityText } from './ruleset.ts';
import type { Chain, Rule } from './ruleset.ts';
import { elementJson, printElement, printSetLine, setJson } from './set-print.ts';

/** Topics of stack.monitors. */
export const MONITOR_TEXT = 'nft';
export const MONITOR_JSON = 'nft-json';

const FIRST_PROCESS = 1000;

/** The lines of one transaction as text. `generation` counts transactions from 2. */
export function monitorText(changes: readonly Change[], generation: number): string {
  const lines = changes.map(textOf);
  const process = FIRST_PROCESS + generation;
  lines.push(`# new generation ${generation} by process ${process} (nft)`);
  return lines.map((line) => `${line}\n`).join('');
}

/** As JSON, a document a line. */
export function monitorJson(changes: readonly Change[]): string {
  return changes.map((c) => `${jsonText({ [c.verb]: jsonOf(c) })}\n`).join('');
}

function textOf(change: Change): string {
  const { verb, object, table } = change;
  const at = `${table.family} ${table.name}`;
  switch (object) {
    case 'table':
      return `${verb} table ${at}`;
    case 'chain':
      return `${verb} chain ${at} ${change.chain.name}${verb === 'add' ? hookLine(change.chain) : ''}`;
    case 'object': {
      const { named } = change;
      const body = verb === 'add' ? ` ${printObjectLine(named)}` : '';
      return `${verb} ${named.object} ${at} ${named.item.name}${body}`;
    }
    case 'set': {
      const { set } = change;
      if (verb === 'delete') return `delete set ${at} ${set.name}`;
      return `add ${set.isMap ? 'map' : 'set'} ${at} ${set.name} ${printSetLine(set)}`;
    }
    case 'element': {
      const { set, element } = change;
      const text = printElement(set.keyTypes, set.dataTypes, element);
      return `${verb} element ${at} ${set.name} { ${text} }`;
    }
    default: {
      const { chain, rule } = change;
      if (verb === 'delete') return `delete rule ${at} ${chain.name} handle ${rule.handle}`;
      return `${verb} rule ${at} ${chain.name}${positionOf(chain, rule.handle)} ${printRule(asWritten(rule))}`;
    }
  }
}

/** The rule with its anonymous sets in the order in which the kernel was given them: only listings are sorted. */
function asWritten(rule: Rule): Rule {
  const statements = rule.statements.map((s): Statement => {
    if (s.kind === 'vmap' || s.kind === 'map-mark') return { ...s, map: mapAsWritten(s.map) };
    if (s.kind !== 'match' || s.right.kind !== 'set') return s;
    return { ...s, right: { ...s.right, elements: s.right.written } };
  });
  return { ...rule, statements };
}

function mapAsWritten(map: MapRef): MapRef {
  return map.kind === 'named' ? map : { ...map, elements: map.written };
}

function hookLine({ base }: Chain): string {
  if (base === null) return '';
  const priority = priorityText(base.priority, base.hook);
  return ` { type ${base.type} hook ${base.hook} priority ${priority}; policy ${base.policy}; }`;
}

function positionOf(chain: Chain, handle: number): string {
  const at = chain.rules.findIndex((r) => r.handle === handle);
  const between = at > 0 && at < chain.rules.length - 1;
  return between ? ` handle ${chain.rules[at - 1].handle}` : '';
}

function jsonOf(change: Change): unknown {
  const { verb, table } = change;
  const { family, name } = table;
  switch (change.object) {
    case 'table':
      return tableJson(table);
    case 'chain': {
      const { chain } = change;
      if (verb === 'add') return chainJson(table, chain);
      return { chain: { family, table: name, name: chain.name, handle: chain.handle } };
    }
    case 'object':
      return verb === 'add' ? objectJson(table, change.named) : deletedJson(table, change.named);
    case 'set': {
      const { set } = change;
      if (verb === 'add') return setJson(table, set, false);
      // 1.0.6 knows only the name of what was deleted.
      return {
        set: { family, name: set.name, table: name, type: 'invalid', handle: set.handle },
      };
    }
    case 'element': {
      const { set, element } = change;
      const elem = { set: [elementJson(set.keyTypes, set.dataTypes, element)] };
      return { element: { family, table: name, name: set.name, elem } };
    }
    default:
      return ruleJson(table, change.chain, asWritten(change.rule));
  }
}
