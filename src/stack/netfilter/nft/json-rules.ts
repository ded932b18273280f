// Statements and expressions of JSON rules in the words of the nft language.

import { ctField, isPayload, metaField, payloadField } from './fields.ts';
import { isObject, JsonFault } from './json-shape.ts';
import type { JsonObject } from './json-shape.ts';

/** How a string value is written: as it is, or quoted (interface names). */
type Quote = (text: string) => string;

/** Interface names may hold anything: they are always quoted. Addresses, ports and symbols never need it. */
export const quoteName: Quote = (text) =>
  /^[0-9a-fA-F.:]+$|^[a-z][a-z0-9-]*$/.test(text) ? text : `"${text}"`;

/** An end of a range: a name with a dash in it would swallow the next one. */
const quoteSymbol: Quote = (text) => (/^[a-z][a-z0-9-]*$/.test(text) ? `"${text}"` : text);

/** How values of a field are written. */
function quoteOf(field: string): Quote {
  const isName = field === 'iifname' || field === 'oifname';
  return isName ? (text) => `"${text}"` : (text) => text;
}

/** One statement. Throws JsonFault. */
export function statementText(statement: unknown): string {
  if (!isObject(statement)) throw new JsonFault('Unexpected value, expected statement object.');
  const [kind] = Object.keys(statement);
  const make = STATEMENTS[kind ?? ''];
  if (make === undefined) throw new JsonFault(`Unknown statement object '${kind}'.`);
  return make(statement[kind]);
}

const word = (text: string) => (): string => text;

const STATEMENTS: Record<string, (value: unknown) => string> = {
  match: matchText,
  accept: word('accept'),
  drop: word('drop'),
  return: word('return'),
  notrack: word('notrack'),
  jump: (value) => `jump ${targetOf(value)}`,
  goto: (value) => `goto ${targetOf(value)}`,
  counter: counterText,
  continue: word('continue'),
  log: logText,
  limit: limitText,
  reject: rejectText,
  mangle: mangleText,
  vmap: (value) => mapText(value, 'vmap'),
  set: setText,
  quota: quotaText,
  'ct helper': (value) => `ct helper set "${scalar(value)}"`,
  flow: (value) => `flow add ${scalar(isObject(value) ? value['flowtable'] : value)}`,
  snat: (value) => natText('snat', value),
  dnat: (value) => natText('dnat', value),
  masquerade: (value) => natText('masquerade', value),
  redirect: (value) => natText('redirect', value),
};

function targetOf(value: unknown): string {
  return scalar(isObject(value) ? value['target'] : value);
}

function scalar(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new JsonFault('Unexpected value, expected a string or a number.');
}

function objectOf(value: unknown, what: string): JsonObject {
  if (isObject(value)) return value;
  throw new JsonFault(`Invalid ${what}.`);
}

function matchText(value: unknown): string {
  const match = objectOf(value, 'match statement');
  let left: string;
  try {
    left = leftText(match['left']);
  } catch (error) {
    if (error instanceof JsonFault) error.sentences.push('Invalid LHS of relational.');
    throw error;
  }
  const op = scalar(match['op']);
  const right = rhsText(match['right'], quoteOf(left));
  if (left.includes('&')) return `${left} ${op === 'in' ? '' : `${op} `}${right}`;
  if (op === '==' && bitField(match['left'])) return `${left} == ${right.replaceAll(',', '|')}`;
  return op === '==' || op === 'in' ? `${left} ${right}` : `${left} ${op} ${right}`;
}

/** `add @set { … }` and its like. */
function setText(value: unknown): string {
  const body = objectOf(value, 'set statement');
  const elem = objectOf(body['elem'], 'set statement');
  const inner = isObject(elem['elem']) ? elem['elem'] : { val: elem };
  const { stmt } = body;
  const statements = (Array.isArray(stmt) ? stmt : []).map(statementText);
  const time = inner['timeout'] === undefined ? [] : [`timeout ${scalar(inner['timeout'])}s`];
  const words = [leftText(inner['val']), ...time, ...statements];
  return `${scalar(body['op'])} ${scalar(body['set'])} { ${words.join(' ')} }`;
}

/** A key with options, of a set's element. */
function optionsText(elem: JsonObject, quote: Quote): string {
  const { timeout, expires, comment, counter, limit } = elem;
  return [
    rhsText(elem['val'], quote),
    ...(counter === undefined ? [] : [counterText(counter)]),
    ...(limit === undefined ? [] : [limitText(limit)]),
    ...(timeout === undefined ? [] : [`timeout ${scalar(timeout)}s`]),
    ...(expires === undefined ? [] : [`expires ${scalar(expires)}s`]),
    ...(comment === undefined ? [] : [`comment "${scalar(comment)}"`]),
  ].join(' ');
}

/** A field, `field & mask`, or a concatenation. */
function leftText(value: unknown): string {
  const left = objectOf(value, 'expression');
  const { concat } = left;
  if (Array.isArray(concat)) return concat.map(leftText).join(' . ');
  const masked = left['&'];
  if (Array.isArray(masked)) {
    const mask: unknown = masked[1];
    const text = Array.isArray(mask) ? `(${mask.map(scalar).join('|')})` : scalar(mask);
    return `${leftText(masked[0])} & ${text}`;
  }
  const payload = left['payload'];
  if (isObject(payload)) {
    const [protocol, name] = [scalar(payload['protocol']), scalar(payload['field'])];
    if (!isPayload(protocol)) throw new JsonFault(`Unknown payload protocol '${protocol}'.`);
    if (payloadField(protocol, name) === null)
      throw new JsonFault(`Unknown ${protocol} field '${name}'.`);
    return `${protocol} ${name}`;
  }
  for (const [source, field] of [
    ['meta', metaField],
    ['ct', ctField],
  ] as const) {
    const key = left[source];
    if (!isObject(key)) continue;
    const name = scalar(key['key']);
    const dir = key['dir'] === 'original' || key['dir'] === 'reply' ? key['dir'] : null;
    const found = field(name, dir);
    if (found === null) throw new JsonFault(`Unknown ${source} key '${name}'.`);
    return found.text;
  }
  throw new JsonFault(`Unknown expression type '${Object.keys(left)[0]}'.`);
}

/** A right side, a set element, or [key, data] of a map. */
function rhsText(value: unknown, quote: Quote): string {
  if (typeof value === 'string') return value.startsWith('@') ? value : quote(value);
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) {
    const [key, data] = value as unknown[];
    if (value.length === 2 && isObject(data) && !isRangeLike(data))
      return `${rhsText(key, quote)} : ${verdictText(data)}`;
    return value.map((one) => rhsText(one, quote)).join(',');
  }
  const body = objectOf(value, 'right side');
  const { set, range, prefix, concat, elem, '|': bits } = body;
  if (Array.isArray(bits)) return bits.map(scalar).join('|');
  if (isObject(elem)) return optionsText(elem, quote);
  if (Array.isArray(concat)) return concat.map((part) => rhsText(part, quoteName)).join(' . ');
  if (Array.isArray(set)) return `{ ${set.map((e) => elementText(e, quote)).join(', ')} }`;
  if (Array.isArray(range)) return range.map((end) => rhsText(end, quoteSymbol)).join('-');
  if (isObject(prefix)) return `${scalar(prefix['addr'])}/${scalar(prefix['len'])}`;
  throw new JsonFault(`Unknown expression type '${Object.keys(body)[0]}'.`);
}

/** Whether an object is a value, not a verdict. */
function isRangeLike(value: JsonObject): boolean {
  return ['range', 'prefix', 'concat', 'elem', '|'].some((key) => value[key] !== undefined);
}

/** In a set an array is [key, data]; elsewhere it is a list of bits. */
export function elementText(value: unknown, quote: Quote): string {
  if (!Array.isArray(value) || value.length !== 2) return rhsText(value, quote);
  const [key, data] = value as unknown[];
  const right = isObject(data) && !isRangeLike(data) ? verdictText(data) : rhsText(data, quote);
  return `${rhsText(key, quote)} : ${right}`;
}

function verdictText(verdict: JsonObject): string {
  const [kind] = Object.keys(verdict);
  if (kind === 'jump' || kind === 'goto') return `${kind} ${targetOf(verdict[kind])}`;
  if (kind === 'accept' || kind === 'drop' || kind === 'return' || kind === 'continue') return kind;
  throw new JsonFault(`Unknown verdict '${kind}'.`);
}

function counterText(value: unknown): string {
  if (typeof value === 'string') return `counter name "${value}"`;
  if (!isObject(value)) return 'counter';
  return `counter packets ${scalar(value['packets'])} bytes ${scalar(value['bytes'])}`;
}

function quotaText(value: unknown): string {
  if (typeof value === 'string') return `quota name "${value}"`;
  const quota = objectOf(value, 'quota statement');
  const over = quota['inv'] === true ? 'over ' : '';
  const unit = scalar(quota['val_unit'] ?? 'bytes');
  const used =
    quota['used'] === undefined
      ? ''
      : ` used ${scalar(quota['used'])} ${scalar(quota['used_unit'] ?? 'bytes')}`;
  return `quota ${over}${scalar(quota['val'])} ${unit}${used}`;
}

function limitText(value: unknown): string {
  const limit = objectOf(value, 'limit statement');
  const unit = limit['rate_unit'];
  const over = limit['inv'] === true ? 'over ' : '';
  const per = scalar(limit['per'] ?? 'second');
  const bytes = unit === undefined || unit === 'packets' ? '' : ` ${scalar(unit)}`;
  const burst = limit['burst'];
  const tail =
    burst === undefined || burst === 0
      ? ''
      : ` burst ${scalar(burst)} ${scalar(limit['burst_unit'] ?? 'packets')}`;
  return `limit rate ${over}${scalar(limit['rate'])}${bytes}/${per}${tail}`;
}

function rejectText(value: unknown): string {
  if (!isObject(value)) return 'reject';
  const type = scalar(value['type']);
  return type === 'tcp reset'
    ? 'reject with tcp reset'
    : `reject with ${type} ${scalar(value['expr'])}`;
}

function mangleText(value: unknown): string {
  const mangle = objectOf(value, 'mangle statement');
  return `${leftText(mangle['key'])} set ${valueText(mangle['value'])}`;
}

/** What a mangle writes: a number, a field (mapped, or with bits changed). */
function valueText(value: unknown): string {
  if (!isObject(value)) return scalar(value);
  if (value['map'] !== undefined) return mapText(value['map'], 'map');
  for (const sign of ['&', '|', '^']) {
    const operands = value[sign];
    if (Array.isArray(operands)) return `(${operands.map(valueText).join(` ${sign} `)})`;
  }
  return leftText(value);
}

function logText(value: unknown): string {
  if (!isObject(value)) return 'log';
  const { prefix, level, flags, group, snaplen, 'queue-threshold': threshold } = value;
  const numbers = { group, snaplen, 'queue-threshold': threshold };
  return [
    'log',
    ...(prefix === undefined ? [] : [`prefix "${scalar(prefix)}"`]),
    ...Object.entries(numbers).flatMap(([k, v]) => (v === undefined ? [] : [`${k} ${scalar(v)}`])),
    ...(level === undefined ? [] : [`level ${scalar(level)}`]),
    ...(Array.isArray(flags) ? flags : flags === undefined ? [] : [flags]).map(
      (flag) => `flags ${scalar(flag)}`,
    ),
  ].join(' ');
}

/** Whether a left side is a field of bits, where `==` differs from the bare value. */
function bitField(left: unknown): boolean {
  const text = leftText(left);
  return text === 'tcp flags' || text === 'ct state' || text === 'ct status';
}

function mapText(value: unknown, kind: string): string {
  const map = objectOf(value, `${kind} expression`);
  const key = leftText(map['key']);
  return `${key} ${kind} ${rhsText(map['data'], quoteOf(key))}`;
}

function natText(kind: string, value: unknown): string {
  if (!isObject(value)) return kind;
  const { family, addr, port, flags } = value;
  const words = [kind];
  if (family !== undefined) words.push(scalar(family));
  if (addr !== undefined || port !== undefined) {
    const six = JSON.stringify(addr ?? '').includes(':') && port !== undefined;
    const address = addr === undefined ? '' : targetText(addr, six);
    words.push('to', port === undefined ? address : `${address}:${rhsText(port, (text) => text)}`);
  }
  if (flags !== undefined)
    words.push((Array.isArray(flags) ? flags : [flags]).map(scalar).join(','));
  return words.join(' ');
}

/** The address of a nat statement, or the map that gives it. */
function targetText(addr: unknown, inBrackets: boolean): string {
  if (isObject(addr) && addr['map'] !== undefined) return mapText(addr['map'], 'map');
  return rhsText(addr, (text) => (inBrackets ? `[${text}]` : text));
}
