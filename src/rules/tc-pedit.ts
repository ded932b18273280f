// tc's `pedit ex munge ...` into set_field and dec_ttl (tc-pedit(8)).
//
// `retain MASK` writes only the bits of MASK. A TTL or hop limit raised by 255 (and `decrement`) is dec_ttl, which is how
// drivers read it. Not here: raw offsets (`munge offset`), add of other values, clear, invert.

import { etherType, ipProto } from './names.ts';
import { FIELD_BITS, fullMask } from './rule.ts';
import type { Action, FieldName, Place } from './rule.ts';
import { parseUnsigned } from './scan.ts';
import type { Words } from './scan.ts';
import { PEDIT_FIELDS } from './tc-keys.ts';
import { parseIp, parseMacWords } from './values.ts';

const HEADERS = ['eth', 'ip', 'ip4', 'ip6', 'tcp', 'udp', 'sctp'];

/** After the word `pedit`; answers the default control. `headers` gets the header of each munge. */
export function parsePedit(words: Words, into: Action[], _at: Place, headers: string[]): 'ok' {
  words.takeOneOf('ex');
  if (words.peek() !== 'munge') words.fail('munge');
  while (words.takeIf('munge') !== '') {
    headers.push(words.peek());
    parseMunge(words, into);
  }
  return 'ok';
}

function parseMunge(words: Words, into: Action[]): void {
  const at = words.at;
  let header = words.takeOneOf(...HEADERS);
  if (header === 'ip4') header = 'ip';
  if (['tcp', 'udp', 'sctp'].includes(header)) header = 'L4';
  const known = PEDIT_FIELDS.filter((one) => one.header === header);
  let what = words.takeOneOf(...known.map((one) => one.what), ...(header === 'ip' ? DSFIELD : []));
  if (DSFIELD.includes(what)) what = 'tos';
  const { field } = known.find((one) => one.what === what) ?? known[0];
  const verb = words.takeOneOf('set', ...(field === 'ip_ttl' ? ['add', 'decrement', 'dec'] : []));
  if (verb === 'add') {
    words.takeAs('255 (one less)', (text) => (parseUnsigned(text) === 255 ? 255 : null));
    into.push({ kind: 'dec_ttl', at });
    return;
  }
  if (verb !== 'set') {
    into.push({ kind: 'dec_ttl', at });
    return;
  }
  const value = words.takeAs(`a value for ${field}`, (text) => parseFieldValue(field, text));
  let mask = fullMask(field);
  if (words.takeIf('retain') !== '') {
    mask = words.takeAs(`a mask for ${field}`, (text) => parseFieldValue(field, text));
  }
  const kept = value.map((word, index) => (word & mask[index]) >>> 0);
  into.push({ kind: 'set_field', field, value: kept, mask, at });
}

const DSFIELD = ['dsfield', 'ds'];

/** A field's value in the notation of its kind: address, MAC address, protocol name or number. */
export function parseFieldValue(field: FieldName, text: string): number[] | null {
  const bits = FIELD_BITS[field];
  if (bits === 48) return parseMacWords(text);
  if (field.includes('ipv4') || field.includes('ipv6')) {
    const address = parseIp(text);
    return address !== null && address.words.length * 32 === bits ? address.words : null;
  }
  const named =
    field === 'eth_type' ? etherType(text) : field === 'ip_proto' ? ipProto(text) : null;
  const value = named ?? parseUnsigned(text);
  return value === null || value >= 2 ** bits ? null : [value];
}
