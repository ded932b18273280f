// Rule sets given as JSON (libnftables-json, schema 1): each command object is put into the words of the nft language, and those
// go the way of any other source. Faults carry nft 1.0.6's sentences, the innermost first; they have no place in the text.
//
// Left out, as in the language: what the model has no statement or object for is an unknown one.

import { elementText, quoteName, statementText } from './json-rules.ts';
import { isObject, JsonFault } from './json-shape.ts';
import type { JsonObject } from './json-shape.ts';

const FAMILIES = new Set(['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev']);
const VERBS = new Set('add create insert replace delete list flush reset rename'.split(' '));

/** The source in the nft language. Throws JsonFault. */
export function jsonToSource(document: unknown): string {
  if (!isObject(document)) throw new JsonFault(`Expected object, got ${kindOf(document)}`);
  const list = document['nftables'];
  if (!Array.isArray(list)) throw new JsonFault('Value of property "nftables" must be an array.');
  const lines: string[] = [];
  list.forEach((entry: unknown, index) => {
    if (!isObject(entry))
      throw new JsonFault(
        `Unexpected command array element of type ${kindOf(entry)}, expected object.`,
      );
    if (entry['metainfo'] !== undefined) return;
    try {
      lines.push(...commandLines(entry));
    } catch (error) {
      if (error instanceof JsonFault)
        error.sentences.push(`Parsing command array at index ${index} failed.`);
      throw error;
    }
  });
  return `${lines.join('\n')}\n`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'real';
  return value === null ? 'null' : typeof value;
}

/** A command with its verb, or an object by itself, which is added. */
function commandLines(entry: JsonObject): string[] {
  const [verb] = Object.keys(entry);
  const hasVerb = VERBS.has(verb ?? '');
  const body = hasVerb ? entry[verb] : entry;
  if (!isObject(body)) throw new JsonFault(`Unknown object passed to ${verb} command.`);
  const [object] = Object.keys(body);
  const value = body[object];
  const word = hasVerb ? verb : 'add';
  const make = OBJECTS[object ?? ''];
  if (make === undefined) throw new JsonFault(`Unknown object passed to ${word} command.`);
  return make(word, isObject(value) ? value : {});
}

type Maker = (verb: string, body: JsonObject) => string[];

const OBJECTS: Record<string, Maker> = {
  table: (verb, body) => [`${verb} table ${place(body, ['name'])}`],
  chain: chainLines,
  rule: ruleLines,
  counter: counterLines,
  quota: quotaLines,
  'ct helper': helperLines,
  set: (verb, body) => setLines(verb, 'set', body),
  map: (verb, body) => setLines(verb, 'map', body),
  element: (verb, body) => [
    `${verb} element ${place(body, ['table', 'name'])} { ${elementsText(body)} }`,
  ],
  flowtable: flowTableLines,
  ruleset: (verb, body) => [`${verb} ruleset${familyOnly(body)}`],
  tables: (verb, body) => [`${verb} tables${familyOnly(body)}`],
  chains: (verb, body) => [`${verb} chains${familyOnly(body)}`],
  counters: (verb, body) => [`${verb} counters${familyOnly(body)}`],
  quotas: (verb, body) => [`${verb} quotas${familyOnly(body)}`],
  sets: (verb, body) => [`${verb} sets${familyOnly(body)}`],
  maps: (verb, body) => [`${verb} maps${familyOnly(body)}`],
  flowtables: (verb, body) => [`${verb} flowtables${familyOnly(body)}`],
};

function familyOf(body: JsonObject): string {
  const family = body['family'];
  if (family === undefined) return 'ip';
  if (typeof family === 'string' && FAMILIES.has(family)) return family;
  throw new JsonFault(`Unknown family '${text(family)}'.`);
}

function familyOnly(body: JsonObject): string {
  return body['family'] === undefined ? '' : ` ${familyOf(body)}`;
}

/** Family and the names that the object must have. */
function place(body: JsonObject, names: readonly string[]): string {
  return [familyOf(body), ...names.map((name) => nameOf(body, name))].join(' ');
}

function nameOf(body: JsonObject, key: string): string {
  const name = body[key];
  if (typeof name !== 'string') throw new JsonFault(`Object item not found: ${key}`);
  return name;
}

function chainLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  const { type, hook, prio, policy, dev } = body;
  if (verb === 'rename') return [`rename chain ${at} ${nameOf(body, 'newname')}`];
  if (type === undefined && hook === undefined) return [`${verb} chain ${at}`];
  const devices = dev === undefined ? '' : ` ${devicesText(dev, 'device')}`;
  const rest = policy === undefined ? '' : ` policy ${text(policy)};`;
  const base = `type ${text(type)} hook ${text(hook)}${devices} priority ${text(prio ?? 0)};`;
  return [`${verb} chain ${at} { ${base}${rest} }`];
}

/** A word or number of the document as it stands; anything else has no place where one is wanted. */
function text(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new JsonFault(`Invalid value of type ${kindOf(value)}.`);
}

function devicesText(dev: unknown, one: string): string {
  if (!Array.isArray(dev)) return `${one} ${text(dev)}`;
  return `devices = { ${dev.map(text).join(', ')} }`;
}

function ruleLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'chain']);
  const handle = body['handle'] === undefined ? '' : ` handle ${text(body['handle'])}`;
  const index = body['index'] === undefined ? '' : ` index ${text(body['index'])}`;
  if (verb === 'delete') return [`delete rule ${at}${handle}`];
  const { expr, comment } = body;
  if (!Array.isArray(expr)) throw new JsonFault('Object item not found: expr');
  const statements = expr.map((statement: unknown, i) => {
    try {
      return statementText(statement);
    } catch (error) {
      if (error instanceof JsonFault)
        error.sentences.push(`Parsing expr array at index ${i} failed.`);
      throw error;
    }
  });
  // A listing's own handle is no position: only a command's is.
  const position = verb === 'replace' || body['index'] !== undefined ? handle + index : '';
  const tail = comment === undefined ? '' : ` comment "${text(comment)}"`;
  return [`${verb} rule ${at}${position} ${statements.join(' ')}${tail}`];
}

function counterLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  if (body['packets'] === undefined || verb !== 'add') return [`${verb} counter ${at}`];
  const values = `packets ${text(body['packets'])} bytes ${text(body['bytes'] ?? 0)}`;
  return [`${verb} counter ${at} { ${values} ; }`];
}

function quotaLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  if (verb !== 'add' && verb !== 'create') return [`${verb} quota ${at}`];
  const over = body['inv'] === true ? 'over ' : '';
  const limit = `${over}${text(body['bytes'])} bytes used ${text(body['used'] ?? 0)} bytes`;
  return [`${verb} quota ${at} { ${limit} ; }`];
}

function helperLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  if (verb !== 'add' && verb !== 'create') return [`${verb} ct helper ${at}`];
  const l3proto = body['l3proto'] === undefined ? '' : ` l3proto ${text(body['l3proto'])};`;
  const helper = `type "${text(body['type'])}" protocol ${text(body['protocol'])};${l3proto}`;
  return [`${verb} ct helper ${at} { ${helper} }`];
}

function setLines(verb: string, kind: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  if (verb !== 'add' && verb !== 'create') return [`${verb} ${kind} ${at}`];
  const data = body['map'] === undefined ? '' : ` : ${typeText(body['map'])}`;
  const parts = [`type ${typeText(body['type'])}${data};`];
  if (body['size'] !== undefined) parts.push(`size ${text(body['size'])};`);
  const { flags } = body;
  if (flags !== undefined) parts.push(`flags ${asArray(flags).map(text).join(',')};`);
  if (body['policy'] !== undefined) parts.push(`policy ${text(body['policy'])};`);
  for (const key of ['timeout', 'gc-interval'])
    if (body[key] !== undefined) parts.push(`${key} ${text(body[key])}s;`);
  if (body['stmt'] !== undefined)
    parts.push(`${asArray(body['stmt']).map(statementText).join(' ')};`);
  if (body['comment'] !== undefined) parts.push(`comment "${text(body['comment'])}";`);
  if (body['elem'] !== undefined) parts.push(`elements = { ${elementsText(body)} };`);
  return [`${verb} ${kind} ${at} { ${parts.join(' ')} }`];
}

/** A type, or the parts of a concatenation. */
function typeText(value: unknown): string {
  return asArray(value).map(text).join(' . ');
}

function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

function elementsText(body: JsonObject): string {
  const { elem } = body;
  const list = isObject(elem) && Array.isArray(elem['set']) ? elem['set'] : asArray(elem);
  return list.map((element) => elementText(element, quoteName)).join(', ');
}

function flowTableLines(verb: string, body: JsonObject): string[] {
  const at = place(body, ['table', 'name']);
  if (verb !== 'add' && verb !== 'create') return [`${verb} flowtable ${at}`];
  const parts = [`hook ${text(body['hook'])} priority ${text(body['prio'] ?? 0)};`];
  if (body['dev'] !== undefined) parts.push(`${devicesText(asArray(body['dev']), 'device')};`);
  const { flags } = body;
  if (flags !== undefined) for (const flag of asArray(flags)) parts.push(`flags ${text(flag)};`);
  return [`${verb} flowtable ${at} { ${parts.join(' ')} }`];
}
