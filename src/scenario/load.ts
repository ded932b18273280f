// YAML text to a validated scenario. Every error names the file, the line and what was expected, in one line.

import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import { scenarioSchema } from './schema.ts';
import type { Scenario } from './schema.ts';

/** A scenario that cannot be used; `message` is the one line for the user. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
}

/** Parses and checks a scenario; `fileName` is only for messages. */
export function loadScenario(text: string, fileName: string): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors[0];
  if (syntax !== undefined) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw new ScenarioError(`${fileName}:${line}: not valid YAML: ${syntax.message}`);
  }
  const value: unknown = document.toJS();
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ScenarioError(`${fileName}:1: expected a mapping of keys, found ${describe(value)}`);
  const result = scenarioSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey];
  const line = lineOf(document, path, lines);
  const where = path.length === 0 ? '' : `${path.map(String).join('.')}: `;
  const said =
    unknownKey === undefined
      ? issue.message
      : `unknown key; expected one of ${knownKeys(issue.path).join(', ')}`;
  throw new ScenarioError(`${fileName}:${line}: ${where}${said}`);
}

/** A complaint about a key of a scenario that was read well: with its line, where the file has the key. */
export function scenarioErrorAt(
  text: string,
  fileName: string,
  path: readonly PropertyKey[],
  message: string,
): ScenarioError {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const line = lineOf(document, path, lines);
  return new ScenarioError(`${fileName}:${line}: ${path.map(String).join('.')}: ${message}`);
}

/** Line of the deepest node that exists on the path. */
function lineOf(document: Document, path: readonly PropertyKey[], lines: LineCounter): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
      if (pair === undefined) break;
      offset = (pair.key as Node).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return lines.linePos(offset).line;
}

/** Keys that the schema has at a path, for the message about a misspelt one. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  let schema: unknown = scenarioSchema;
  for (const key of path) schema = child(unwrap(schema), key);
  const shape = (unwrap(schema) as { shape?: Record<string, unknown> }).shape;
  return shape === undefined ? [] : Object.keys(shape);
}

function child(schema: unknown, key: PropertyKey): unknown {
  const s = schema as { shape?: Record<PropertyKey, unknown>; element?: unknown };
  return s.shape?.[key] ?? s.element;
}

/** Through defaults and optionals to the object or array schema itself. */
function unwrap(schema: unknown): unknown {
  let inner = schema as { def?: { innerType?: unknown } };
  while (inner?.def?.innerType !== undefined) inner = inner.def.innerType as typeof inner;
  return inner;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
