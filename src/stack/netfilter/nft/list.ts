// `nft list …` and `nft reset counters|quotas`: which parts of the rule set a command names, as text or JSON.

import { ENOENT, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import type { Command } from './command-parser.ts';
import { chainJson, flowTableJson, jsonDocument, ruleJson, tableJson } from './json.ts';
import { NftError } from './lexer.ts';
import { handleText, objectJson, objectsOf, printObject } from './objects.ts';
import type { NamedObject } from './objects.ts';
import { printChain, printFlowTable, printTable, wrapTable } from './print.ts';
import type { Ruleset, Table } from './ruleset.ts';
import type { NamedSet } from './set-model.ts';
import { printSet, setJson } from './set-print.ts';

interface ListOptions {
  handles: boolean;
  json: boolean;
}

/** Text of a list or reset command. Throws NftError for names that do not exist. */
export function listCommand(ruleset: Ruleset, command: Command, options: ListOptions): string {
  const tables = selectTables(ruleset, command);
  const text = options.json
    ? jsonDocument(listJson(tables, command))
    : listText(tables, command, options.handles);
  if (command.verb === 'reset') {
    if (!RESETTABLE.has(command.object)) refuse(EOPNOTSUPP, command.place.start, command.place.end);
    for (const table of tables)
      for (const { object, item } of namedObjects(table, command)) {
        if (object === 'counter') item.values.fill(0);
        if (object === 'quota') item.used.fill(0);
      }
  }
  return text;
}

function refuse(errno: number, start: number, end: number): never {
  throw new NftError(strerror(errno), start, end);
}

function selectTables(ruleset: Ruleset, command: Command): Table[] {
  if (command.table === '')
    return ruleset.tables.filter((t) => !command.familyGiven || t.family === command.family);
  const table = ruleset.find(command.family, command.table);
  if (table === undefined) refuse(ENOENT, command.tablePlace.start, command.tablePlace.end);
  const { name, object } = command;
  const exists =
    name === '' ||
    (object === 'chain' && table.chain(name) !== undefined) ||
    (isNamedObject(object) && namedObjects(table, command).length > 0) ||
    ((object === 'set' || object === 'map') && setsOf(table, command).length > 0) ||
    (object === 'flowtable' && table.flowtable(name) !== undefined);
  if (!exists) refuse(ENOENT, command.namePlace.start, command.namePlace.end);
  return [table];
}

const RESETTABLE = new Set(['counter', 'counters', 'quota', 'quotas']);

function isNamedObject(object: string): boolean {
  return RESETTABLE.has(object) || object === 'ct helper' || object === 'ct helpers';
}

/** The counters, quotas or ct helpers that a command names. */
function namedObjects(table: Table, { object, name }: Command): NamedObject[] {
  const kind = object.replace(/s$/, '');
  return objectsOf(table).filter((o) => o.object === kind && (name === '' || o.item.name === name));
}

/** The sets or maps that a command names. */
function setsOf(table: Table, { object, name }: Command): NamedSet[] {
  const maps = object === 'map' || object === 'maps';
  return table.sets.filter((s) => s.isMap === maps && (name === '' || s.name === name));
}

function isSetObject(object: string): boolean {
  return object === 'set' || object === 'sets' || object === 'map' || object === 'maps';
}

function listText(tables: readonly Table[], command: Command, handles: boolean): string {
  const { object, name } = command;
  const picked = (n: string): boolean => name === '' || n === name;
  return tables
    .map((t) => {
      const tail = handles ? ` # handle ${t.handle}` : '';
      if (object === 'tables') return `table ${t.family} ${t.name}${tail}\n`;
      if (object === 'ruleset' || object === 'table') return printTable(t, handles, () => true);
      if (object === 'flowtables' || object === 'flowtable') {
        const list = t.flowtables.filter((f) => picked(f.name));
        return wrapTable(t, [list.map((f) => printFlowTable(f, handles)).join('')], false);
      }
      if (isNamedObject(object)) {
        const list = namedObjects(t, command);
        return wrapTable(t, [list.map((o) => printObject(o, handles)).join('')], false);
      }
      if (isSetObject(object)) {
        const list = setsOf(t, command).map((s) => printSet(s, handleText(s.handle, handles)));
        return wrapTable(t, [list.join('')], false);
      }
      const list = t.chains.filter((c) => picked(c.name));
      const bare = object === 'chains';
      const texts = list.map((c) => printChain(bare ? { ...c, rules: [] } : c, handles));
      return wrapTable(t, [texts.join('')], false);
    })
    .join('');
}

function listJson(tables: readonly Table[], command: Command): unknown[] {
  const { object, name } = command;
  const whole = object === 'ruleset' || object === 'table';
  const picked = (n: string): boolean => name === '' || n === name;
  const out: unknown[] = [];
  for (const t of tables) {
    if (whole || object === 'tables') out.push(tableJson(t));
    const objects = whole ? objectsOf(t) : isNamedObject(object) ? namedObjects(t, command) : [];
    for (const o of objects) out.push(objectJson(t, o));
    if (whole) for (const s of t.sets) out.push(setJson(t, s));
    else if (isSetObject(object)) for (const s of setsOf(t, command)) out.push(setJson(t, s));
    if (whole || object === 'flowtables' || object === 'flowtable')
      for (const f of t.flowtables) if (picked(f.name)) out.push(flowTableJson(t, f));
    if (whole || object === 'chains' || object === 'chain') {
      const chains = t.chains.filter((c) => picked(c.name));
      for (const c of chains) out.push(chainJson(t, c));
      if (object !== 'chains')
        for (const c of chains) for (const r of c.rules) out.push(ruleJson(t, c, r));
    }
  }
  return out;
}
