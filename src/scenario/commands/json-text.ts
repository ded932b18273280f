// JSON as iproute2's json_writer prints it: members in the order given (a name may come twice), on one line, or with `-p` indented in
// its own way.

/** A value; objects keep their order. */
export type JsonNode =
  | string
  | number
  | boolean
  | { fields: readonly (readonly [name: string, value: JsonNode])[] }
  | { items: readonly JsonNode[] };

/** The text without a line end. */
export function jsonText(node: JsonNode, isPretty: boolean): string {
  return isPretty ? pretty(node, 0) : compact(node);
}

function compact(node: JsonNode): string {
  if (typeof node !== 'object') return JSON.stringify(node);
  if ('items' in node) return `[${node.items.map(compact).join(',')}]`;
  return `{${node.fields.map(([name, value]) => `"${name}":${compact(value)}`).join(',')}}`;
}

/** `depth` counts the arrays and objects around. */
function pretty(node: JsonNode, depth: number): string {
  if (typeof node !== 'object') return JSON.stringify(node);
  if ('items' in node) {
    if (node.items.length === 0) return '[ ]';
    return `[ ${node.items.map((one) => pretty(one, depth + 1)).join(',')} ]`;
  }
  if (node.fields.length === 0) return '{}';
  const inner = `\n${'    '.repeat(depth + 1)}`;
  const members = node.fields.map(([name, value]) => `"${name}": ${pretty(value, depth + 1)}`);
  return `{${inner}${members.join(`,${inner}`)}\n${'    '.repeat(depth)}}`;
}
