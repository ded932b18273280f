// ethtool -n/-u and -N/-U: classification rules by location, and which fields flow hashes use. Grammar, messages and exit statuses as
// recorded from ethtool 6.1, its oddities included: a refused insertion at a given location and a refused rx-flow-hash exit with 0,
// and a last word without a value is dropped.

import { EINVAL, ENODEV, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import { ethtoolInsertRule, newExtAck } from '../../../../driver/ethtool-core.ts';
import * as E from '../../../../driver/ethtool.ts';
import type { RxNfcOps } from '../../../../driver/ethtool.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { badArguments, parseU32 } from './args.ts';
import type { Target } from './args.ts';
import { readFlowSpec } from './flow-spec.ts';
import { printRule } from './flow-print.ts';

/** Flow types of rx-flow-hash: what the kernel is asked for, and what the tool calls it. */
const HASH_TYPES: Readonly<Record<string, readonly [type: number, text: string]>> = {
  ether: [E.ETHER_FLOW, 'Ethernet flows'],
  tcp4: [E.TCP_V4_FLOW, 'TCP over IPV4 flows'],
  udp4: [E.UDP_V4_FLOW, 'UDP over IPV4 flows'],
  sctp4: [E.SCTP_V4_FLOW, 'SCTP over IPV4 flows'],
  ah4: [E.AH_ESP_V4_FLOW, 'IPSEC AH/ESP over IPV4 flows'],
  esp4: [E.AH_ESP_V4_FLOW, 'IPSEC AH/ESP over IPV4 flows'],
  tcp6: [E.TCP_V6_FLOW, 'TCP over IPV6 flows'],
  udp6: [E.UDP_V6_FLOW, 'UDP over IPV6 flows'],
  sctp6: [E.SCTP_V6_FLOW, 'SCTP over IPV6 flows'],
  ah6: [E.AH_ESP_V6_FLOW, 'IPSEC AH/ESP over IPV6 flows'],
  esp6: [E.AH_ESP_V6_FLOW, 'IPSEC AH/ESP over IPV6 flows'],
};

/** Letters of a flow hash's fields, in the order in which the tool lists them. */
const HASH_FIELDS: readonly (readonly [letter: string, bit: number, text: string])[] = [
  ['m', E.RXH_L2DA, 'L2DA'],
  ['v', E.RXH_VLAN, 'VLAN tag'],
  ['t', E.RXH_L3_PROTO, 'L3 proto'],
  ['s', E.RXH_IP_SRC, 'IP SA'],
  ['d', E.RXH_IP_DST, 'IP DA'],
  ['f', E.RXH_L4_B_0_1, 'L4 bytes 0 & 1 [TCP/UDP src port]'],
  ['n', E.RXH_L4_B_2_3, 'L4 bytes 2 & 3 [TCP/UDP dst port]'],
];

/** Why there is no answer: no such device, or no such operation. */
function missing(target: Target): number {
  return target.dev === null ? ENODEV : EOPNOTSUPP;
}

function opsOf(target: Target): RxNfcOps | undefined {
  return target.dev?.ethtoolOps?.rxnfc;
}

export function showRxnfc(target: Target, words: string[]): CommandResult {
  const [what, argument] = words;
  if (what === undefined) return showAll(target);
  if (what === 'rx-flow-hash') return showHash(target, words);
  const location = parseU32(argument ?? '');
  if (what !== 'rule' || location === null || words.length > 2) return badArguments();
  const [rxnfc, { dev }] = [opsOf(target), target];
  const rule = dev === null ? null : (rxnfc?.rule(dev, location) ?? null);
  if (rule !== null) return ok(printRule(rule));
  const error = rxnfc === undefined ? missing(target) : EINVAL;
  return failed(
    1,
    `rxclass: Cannot get RX class rule: ${strerror(error)}\nCannot get RX classification rule\n`,
  );
}

function showAll(target: Target): CommandResult {
  const [rxnfc, { dev }] = [opsOf(target), target];
  if (rxnfc === undefined || dev === null) {
    const error = strerror(missing(target));
    return failed(
      1,
      `Cannot get RX rings: ${error}\nrxclass: Cannot get RX class rule count: ${error}\n` +
        'RX classification rule retrieval failed\n',
    );
  }
  const locations = rxnfc.locations(dev);
  let text = `${rxnfc.rings(dev)} RX rings available\nTotal ${locations.length} rules\n\n`;
  for (const location of locations) {
    const rule = rxnfc.rule(dev, location);
    if (rule !== null) text += printRule(rule);
  }
  return ok(text);
}

function showHash(target: Target, words: string[]): CommandResult {
  const name = words[1] ?? '';
  const type = Object.hasOwn(HASH_TYPES, name) ? HASH_TYPES[name] : undefined;
  const rss = contextFlag(words.slice(2));
  if (type === undefined || rss === null) return badArguments();
  const [rxnfc, { dev }] = [opsOf(target), target];
  const fields =
    rxnfc === undefined || dev === null ? -missing(target) : rxnfc.flowHash(dev, type[0] | rss);
  if (fields < 0)
    return failed(1, `Cannot get RX network flow hashing options: ${strerror(fields)}\n`);
  const lines = HASH_FIELDS.filter(([, bit]) => (fields & bit) !== 0).map(
    ([, , text]) => `${text}\n`,
  );
  return ok(`${type[1]} use these fields for computing Hash flow key:\n${lines.join('')}\n`);
}

export function setRxnfc(target: Target, words: string[]): CommandResult {
  switch (words[0]) {
    case 'flow-type':
      return insert(target, words.slice(1));
    case 'delete':
      return remove(target, words);
    case 'rx-flow-hash':
      return setHash(target, words);
    default:
      return badArguments();
  }
}

function setHash(target: Target, words: string[]): CommandResult {
  const [, name = '', letters = ''] = words;
  const type = Object.hasOwn(HASH_TYPES, name) ? HASH_TYPES[name] : undefined;
  const rss = contextFlag(words.slice(3));
  if (type === undefined || letters === '' || rss === null) return badArguments();
  let fields = 0;
  for (const letter of letters) {
    const bit = letter === 'r' ? E.RXH_DISCARD : HASH_FIELDS.find(([one]) => one === letter)?.[1];
    if (bit === undefined) return badArguments();
    fields |= bit;
  }
  const [rxnfc, { dev }] = [opsOf(target), target];
  const error =
    rxnfc === undefined || dev === null
      ? -missing(target)
      : rxnfc.setFlowHash(dev, type[0] | rss, fields);
  if (error === 0) return ok();
  return failed(0, `Cannot change RX network flow hashing options: ${strerror(error)}\n`);
}

/** FLOW_RSS for `context N`, 0 for no words, null for others. Which fields a context hashes no driver here keeps apart: EINVAL. */
function contextFlag(words: readonly string[]): number | null {
  if (words.length === 0) return 0;
  const isContext = words[0] === 'context' && parseU32(words[1] ?? '') !== null;
  return isContext && words.length === 2 ? E.FLOW_RSS : null;
}

/** `-N DEV delete N`: words behind the number are not looked at. */
function remove(target: Target, words: string[]): CommandResult {
  const location = parseU32(words[1] ?? '');
  if (location === null) return badArguments();
  const [rxnfc, { dev }] = [opsOf(target), target];
  const error =
    rxnfc === undefined || dev === null ? -missing(target) : rxnfc.remove(dev, location);
  if (error === 0) return ok();
  return failed(
    1,
    `rmgr: Cannot delete RX class rule: ${strerror(error)}\nCannot delete classification rule\n`,
  );
}

function insert(target: Target, words: string[]): CommandResult {
  if (words.length === 0) return badArguments();
  const read = readFlowSpec(words);
  if ('stderr' in read) return badArguments(read.stderr, read.stdout);
  const { spec } = read;
  const isGiven = spec.location < E.RX_CLS_LOC_ANY;
  const [rxnfc, { dev }] = [opsOf(target), target];
  if (!isGiven) {
    if (rxnfc === undefined || dev === null) {
      const error = strerror(missing(target));
      return notInserted(`rxclass: Cannot get RX class rule count: ${error}\n`);
    }
    if (!rxnfc.choosesLocation) {
      spec.location = highestFree(rxnfc.locations(dev), rxnfc.tableSize(dev));
      if (spec.location < 0)
        return notInserted('rmgr: Cannot find appropriate slot to insert rule\n');
    }
  }
  const location = dev === null ? -ENODEV : ethtoolInsertRule(dev, spec, newExtAck());
  if (location < 0) return failed(0, `rmgr: Cannot insert RX class rule: ${strerror(location)}\n`);
  return isGiven ? ok() : ok(`Added rule with ID ${location}\n`);
}

function notInserted(said: string): CommandResult {
  return failed(1, `${said}Cannot insert classification rule\n`);
}

/** The tool's choice where the driver has none: the last free location, −1 when all are taken. */
function highestFree(used: readonly number[], size: number): number {
  const taken = new Set(used);
  for (let location = size - 1; location >= 0; location--)
    if (!taken.has(location)) return location;
  return -1;
}
