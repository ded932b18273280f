// ethtool -S: the driver's statistics, and with --groups or --all-groups the standard ones, of which no driver here has any: then only
// the heading is printed. Text, JSON and exit statuses as recorded from ethtool 6.1.

import { ENODEV, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { align4, headerBytes, netlinkError, noDevice } from './args.ts';
import type { Target } from './args.ts';

/** Exit status on a device without statistics, and without being one. */
const NO_STATS_STATUS = 94;
const NO_STRINGS_STATUS = 96;
const GROUPS = ['eth-phy', 'eth-mac', 'eth-ctrl', 'rmon'];

/** `-S DEV`; JSON exists for groups only. */
export function statistics(target: Target, words: string[], json: boolean): CommandResult {
  const [first, ...names] = words;
  const fail = (said: string): CommandResult => failed(1, `ethtool (-S): ${said}\n`);
  if (first === '--groups')
    return names.length === 0
      ? fail(`no value for parameter '${first}'`)
      : standard(target, names, json);
  if (first === '--all-groups')
    return names.length === 0
      ? standard(target, GROUPS, json)
      : fail(`unknown parameter '${names[0]}'`);
  if (first !== undefined) return fail(`unknown parameter '${first}'`);
  const { dev } = target;
  if (dev === null)
    return failed(NO_STRINGS_STATUS, `Cannot get stats strings information: ${strerror(ENODEV)}\n`);
  const own = dev.ethtoolOps?.get_strings?.(dev) ?? [];
  if (own.length === 0) return failed(NO_STATS_STATUS, 'no stats available\n');
  const values = dev.ethtoolOps?.get_ethtool_stats?.(dev) ?? [];
  const lines = own.map((name, i) => `     ${name}: ${values[i]}\n`);
  return ok(`NIC statistics:\n${lines.join('')}`);
}

function standard({ name, dev }: Target, groups: string[], json: boolean): CommandResult {
  if (dev === null) return noDevice();
  let offset = headerBytes(name) + 16;
  for (const group of groups) {
    if (!GROUPS.includes(group))
      return netlinkError(`bit name not found (offset ${offset})`, EOPNOTSUPP);
    offset += 8 + align4(group.length + 1);
  }
  if (!json) return ok(`Standard stats for ${dev.name}:\n`);
  const items = GROUPS.filter((one) => groups.includes(one)).map(
    (one) => `,\n        "${one}": {}`,
  );
  return ok(`[ {\n        "ifname": "${dev.name}"${items.join('')}\n    } ]\n`);
}
