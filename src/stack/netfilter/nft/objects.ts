// The named objects of a table (counters, quotas, ct helpers) in the order in which they were made: listed as text and JSON, and as
// `nft monitor` tells of them (nftables 1.0.6).

import { ctHelperJson, printCtHelper, printCtHelperLine } from './ct-statements.ts';
import { printQuotaLimit, quotaFields } from './quota.ts';
import type { Counter, CtHelper, Quota, Table } from './ruleset.ts';

export type NamedObject =
  | { object: 'counter'; item: Counter }
  | { object: 'quota'; item: Quota }
  | { object: 'ct helper'; item: CtHelper };

export function objectsOf(table: Table): NamedObject[] {
  const all: NamedObject[] = [
    ...table.counters.map((item) => ({ object: 'counter' as const, item })),
    ...table.quotas.map((item) => ({ object: 'quota' as const, item })),
    ...table.helpers.map((item) => ({ object: 'ct helper' as const, item })),
  ];
  return all.sort((a, b) => a.item.handle - b.item.handle);
}

/** ` # handle N`, or nothing. */
export function handleText(handle: number, handles: boolean): string {
  return handles ? ` # handle ${handle}` : '';
}

/** An object inside its table. */
export function printObject({ object, item }: NamedObject, handles: boolean): string {
  const tail = handleText(item.handle, handles);
  if (object === 'ct helper') return printCtHelper(item, tail);
  const body = object === 'quota' ? printQuotaLimit(item) : counterText(item);
  return `\t${object} ${item.name} {${tail}\n\t\t${body}\n\t}\n`;
}

function counterText({ values }: Counter): string {
  return `packets ${values[0]} bytes ${values[1]}`;
}

/** The body on one line. */
export function printObjectLine({ object, item }: NamedObject): string {
  if (object === 'ct helper') return printCtHelperLine(item);
  return `{ ${object === 'quota' ? printQuotaLimit(item) : counterText(item)} } `;
}

export function objectJson(table: Table, { object, item }: NamedObject): unknown {
  const { family, name: tableName } = table;
  if (object === 'ct helper') return ctHelperJson(family, tableName, item);
  const { name, handle } = item;
  const [packets, bytes] = object === 'counter' ? item.values : [];
  const fields = object === 'quota' ? quotaFields(item) : { packets, bytes };
  return { [object]: { family, name, table: tableName, handle, ...fields } };
}

/** A deleted object: 1.0.6 knows its names and handle only, and fills the rest with what an empty one has. */
export function deletedJson(table: Table, named: NamedObject): unknown {
  const { object, item } = named;
  if (object === 'counter') return objectJson(table, named);
  const { name, handle } = item;
  const body = { family: table.family, name, table: table.name, handle };
  const empty =
    object === 'quota'
      ? { bytes: 0, used: 0, inv: false }
      : { type: '(null)', protocol: 'ip', l3proto: 'unknown' };
  return { [object]: { ...body, ...empty } };
}
