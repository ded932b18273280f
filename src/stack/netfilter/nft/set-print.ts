// Sets, maps and their elements as text (with nft's line breaks: so many elements a line by key type) and as JSON.

import type { DataTypes, MapRef, MapVerdict, Rhs, SetElement } from './ast.ts';
import type { NamedSet } from './set-model.ts';
import { elementStatementJson, printElementStatements } from './element-statements.ts';
import type { Table } from './ruleset.ts';
import { formatTime } from './time-text.ts';
import { formatEnd, formatScalar, jsonScalar } from './types.ts';
import type { Scalar, TypeName, Types } from './types.ts';

/** Elements on a line of a listing; 1 for types not named here and for concatenations. */
const PER_LINE: Partial<Record<TypeName, number>> = {
  ipv4_addr: 2,
  ct_state: 2,
  ct_status: 2,
  pkt_type: 2,
  nf_proto: 5,
  integer: 5,
  inet_proto: 5,
  inet_service: 5,
  tcp_flag: 5,
  mark: 5,
  iface_index: 5,
  ct_dir: 5,
};
const MS_PER_S = 1000;
const CONTINUED = ',\n\t\t\t     ';

/** A right side as text. */
export function printRhs(types: Types, rhs: Rhs): string {
  const [type] = types;
  switch (rhs.kind) {
    case 'value':
      return printValue(type, rhs.value, rhs.device?.());
    case 'prefix':
      return `${formatScalar(type, rhs.value)}/${rhs.lenBits}`;
    case 'range':
      return `${formatEnd(type, rhs.from)}-${formatEnd(type, rhs.to)}`;
    case 'named':
      return `@${rhs.name}`;
    case 'concat':
      return rhs.parts.map((part, i) => printRhs([types[i]], part)).join(' . ');
    default:
      return `{ ${rhs.elements.map((e) => printRhs(types, e)).join(', ')} }`;
  }
}

function printValue(type: TypeName, value: Scalar, device: string | undefined): string {
  return device === undefined ? formatScalar(type, value) : `"${device}"`;
}

/** A right side as JSON. */
export function rhsJson(types: Types, rhs: Rhs): unknown {
  const [type] = types;
  switch (rhs.kind) {
    case 'value':
      if (type === 'iface_index') return rhs.device?.() ?? String(rhs.value);
      return jsonScalar(type, rhs.value);
    case 'prefix':
      return { prefix: { addr: jsonScalar(type, rhs.value), len: rhs.lenBits } };
    case 'range':
      return { range: [jsonScalar(type, rhs.from), jsonScalar(type, rhs.to)] };
    case 'named':
      return `@${rhs.name}`;
    case 'concat':
      return { concat: rhs.parts.map((part, i) => rhsJson([types[i]], part)) };
    default:
      return { set: rhs.elements.map((e) => elementOf(rhsJson(types, e))) };
  }
}

/** Several bits of one element. */
function elementOf(json: unknown): unknown {
  return Array.isArray(json) ? { '|': json } : json;
}

/** One element: its key, and what a map answers. */
export function printElement(
  keyTypes: Types,
  dataTypes: DataTypes | null,
  element: SetElement,
): string {
  const key = [printRhs(keyTypes, element.key), ...optionTexts(element)].join(' ');
  const { data } = element;
  if (data === null || dataTypes === null) return key;
  if (data.kind === 'value')
    return `${key} : ${dataTypes === 'verdict' ? '' : printRhs(dataTypes, data.value)}`;
  return `${key} : ${printVerdict(data)}`;
}

function optionTexts(element: SetElement): string[] {
  const { statements, timeoutMs, leftMs, comment } = element;
  return [
    ...printElementStatements(statements, true),
    ...(timeoutMs > 0 ? [`timeout ${formatTime(timeoutMs)}`] : []),
    ...(leftMs < Infinity ? [`expires ${formatTime(leftMs)}`] : []),
    ...(comment === null ? [] : [`comment "${comment}"`]),
  ];
}

/** The key as JSON, inside an object when the element has options; of several statements 1.0.6 gives the first. */
function keyJson(keyTypes: Types, element: SetElement): unknown {
  const { statements, timeoutMs, leftMs, comment } = element;
  const val = rhsJson(keyTypes, element.key);
  const options = {
    ...(timeoutMs > 0 ? { timeout: seconds(timeoutMs) } : {}),
    ...(leftMs < Infinity ? { expires: seconds(leftMs) } : {}),
    ...(comment === null ? {} : { comment }),
    ...(statements.length > 0 ? (elementStatementJson(statements[0], true) as object) : {}),
  };
  return Object.keys(options).length === 0 ? val : { elem: { val, ...options } };
}

const seconds = (timeMs: number): number => Math.floor(timeMs / MS_PER_S);

function printVerdict(verdict: MapVerdict): string {
  if (verdict.kind !== 'jump') return verdict.kind;
  return `${verdict.goto ? 'goto' : 'jump'} ${verdict.chain}`;
}

/** One element as JSON: the key, or [key, data]. */
export function elementJson(
  keyTypes: Types,
  dataTypes: DataTypes | null,
  element: SetElement,
): unknown {
  const key = keyJson(keyTypes, element);
  const { data } = element;
  if (data === null || dataTypes === null) return key;
  if (data.kind === 'value')
    return [key, dataTypes === 'verdict' ? null : rhsJson(dataTypes, data.value)];
  if (data.kind === 'jump') return [key, { [data.goto ? 'goto' : 'jump']: { target: data.chain } }];
  return [key, { [data.kind]: null }];
}

function typeText(set: NamedSet): string {
  const key = set.keyTypes.join(' . ');
  if (set.dataTypes === null) return key;
  return `${key} : ${set.intervalData ? 'interval ' : ''}${dataText(set.dataTypes)}`;
}

function dataText(dataTypes: DataTypes): string {
  return dataTypes === 'verdict' ? 'verdict' : dataTypes.join(' . ');
}

function flagsOf(set: NamedSet): string[] {
  return [
    ...(set.constant ? ['constant'] : []),
    ...(set.dynamic ? ['dynamic'] : []),
    ...(set.interval ? ['interval'] : []),
    ...(set.hasTimeout ? ['timeout'] : []),
  ];
}

/** The lines of a declaration behind its type. A default timeout says by itself that there are timeouts. */
function propertiesOf(set: NamedSet): string[] {
  const flags = flagsOf(set);
  const isSaid = set.timeoutMs > 0 && flags.length === 1 && set.hasTimeout;
  return [
    ...(set.policyMemory ? ['policy memory'] : []),
    ...(set.size > 0 ? [`size ${set.size}`] : []),
    ...(flags.length > 0 && !isSaid ? [`flags ${flags.join(',')}`] : []),
    ...(set.statements.length > 0 ? [printElementStatements(set.statements, false).join(' ')] : []),
    ...(set.timeoutMs > 0 ? [`timeout ${formatTime(set.timeoutMs)}`] : []),
    ...(set.gcMs > 0 ? [`gc-interval ${formatTime(set.gcMs)}`] : []),
    ...(set.comment === null ? [] : [`comment "${set.comment}"`]),
  ];
}

/** A set or map inside its table. `handle` is the text after its brace. */
export function printSet(set: NamedSet, handle: string): string {
  let text = `\t${set.isMap ? 'map' : 'set'} ${set.name} {${handle}\n\t\ttype ${typeText(set)}\n`;
  for (const property of propertiesOf(set)) text += `\t\t${property}\n`;
  if (set.elements.length > 0) text += `\t\telements = { ${printElements(set)} }\n`;
  return `${text}\t}\n`;
}

function printElements(set: NamedSet): string {
  const perLine = set.keyTypes.length > 1 ? 1 : (PER_LINE[set.keyTypes[0]] ?? 1);
  return set.elements
    .map((e, i) => {
      const separator = i === 0 ? '' : i % perLine === 0 ? CONTINUED : ', ';
      return separator + printElement(set.keyTypes, set.dataTypes, e);
    })
    .join('');
}

/** The declaration on one line, as `nft monitor` prints it. */
export function printSetLine(set: NamedSet): string {
  const properties = propertiesOf(set).map((property) => `${property}; `);
  return `{ type ${typeText(set)}; ${properties.join('')}} `;
}

/** A set or map as JSON; without its elements for `nft -j monitor`. */
export function setJson(table: Table, set: NamedSet, elements = true): unknown {
  // 1.0.6 does not know the word dynamic here.
  const flags = flagsOf(set).filter((flag) => flag !== 'dynamic');
  const stmt = set.statements.map((s) => elementStatementJson(s, false));
  const body = {
    family: table.family,
    name: set.name,
    table: table.name,
    type: set.keyTypes.length > 1 ? set.keyTypes : set.keyTypes[0],
    handle: set.handle,
    ...(set.comment === null ? {} : { comment: set.comment }),
    ...(set.dataTypes === null ? {} : { map: dataText(set.dataTypes) }),
    ...(set.policyMemory ? { policy: 'memory' } : {}),
    ...(set.size > 0 ? { size: set.size } : {}),
    ...(flags.length > 0 ? { flags } : {}),
    ...(set.timeoutMs > 0 ? { timeout: seconds(set.timeoutMs) } : {}),
    ...(set.gcMs > 0 ? { 'gc-interval': seconds(set.gcMs) } : {}),
    ...(elements && set.elements.length > 0
      ? { elem: set.elements.map((e) => elementJson(set.keyTypes, set.dataTypes, e)) }
      : {}),
    ...(stmt.length > 0 ? { stmt } : {}),
  };
  return { [set.isMap ? 'map' : 'set']: body };
}

/** The map of a `vmap` or `map` expression as text. */
export function printMapRef(keyTypes: Types, map: MapRef): string {
  if (map.kind === 'named') return `@${map.name}`;
  return `{ ${map.elements.map((e) => printElement(keyTypes, map.dataTypes, e)).join(', ')} }`;
}

export function mapRefJson(keyTypes: Types, map: MapRef): unknown {
  if (map.kind === 'named') return `@${map.name}`;
  return { set: map.elements.map((e) => elementJson(keyTypes, map.dataTypes, e)) };
}
