// ethtool --show-fec and --set-fec (forward error correction), --show-tunnels (UDP tunnel ports): text, JSON and exit statuses as
// recorded from ethtool 6.1.

import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import { FEC_MODES, ethtoolSetFec, newExtAck } from '../../../../driver/ethtool-core.ts';
import { ETHTOOL_FEC_AUTO } from '../../../../driver/ethtool.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { align4, headerBytes, netlinkError, noDevice, unexpected } from './args.ts';
import type { Target } from './args.ts';

/** Exit status of a refused `--set-fec`. */
const REFUSED_STATUS = 83;

export function showFec({ dev }: Target, words: string[], json: boolean): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const param = dev.ethtoolOps?.get_fecparam?.(dev) ?? -EOPNOTSUPP;
  if (typeof param === 'number') return netlinkError('', -param);
  const config = namesOf(param.fec);
  const active = namesOf(param.active_fec);
  if (json) {
    const list = (names: readonly string[]): string =>
      `[ ${names.map((name) => `"${name}"`).join(',')} ]`;
    return ok(
      `[ {\n        "ifname": "${dev.name}",\n        "config": ${list(config)},\n` +
        `        "active": ${list(active)}\n    } ]\n`,
    );
  }
  return ok(
    `FEC parameters for ${dev.name}:\n` +
      `Supported/Configured FEC encodings: ${config.join(' ')}\n` +
      `Active FEC encoding: ${active.join(' ')}\n`,
  );
}

/** Names of encodings; "None" for an empty set. */
function namesOf(fec: number): readonly string[] {
  const names = FEC_MODES.filter(([, bit]) => (fec & bit) !== 0).map(([name]) => name);
  if ((fec & ETHTOOL_FEC_AUTO) !== 0) names.unshift('Auto');
  return names.length === 0 ? ['None'] : names;
}

/** `ethtool --set-fec DEV encoding auto|off|rs|baser|llrs ...`. */
export function setFec({ name, dev }: Target, words: string[]): CommandResult {
  const fail = (said: string): CommandResult => failed(1, `ethtool (--set-fec): ${said}\n`);
  if (words.length === 0) return fail('parameters missing');
  if (words[0] !== 'encoding') return fail(`unknown parameter '${words[0]}'`);
  const modes = words.slice(1);
  if (modes.length === 0) return fail("no value for parameter 'encoding'");
  if (dev === null) return noDevice(REFUSED_STATUS);
  let wished = 0;
  let offset = headerBytes(name) + 4 + 8;
  for (const mode of modes) {
    const known = mode === 'auto' ? 'Auto' : mode === 'off' ? 'None' : mode.toUpperCase();
    const bit = FEC_MODES.find(([one]) => one === known)?.[1];
    if (known === 'Auto') wished |= ETHTOOL_FEC_AUTO;
    else if (bit === undefined)
      return netlinkError(`bit name not found (offset ${offset})`, EOPNOTSUPP, REFUSED_STATUS);
    else wished |= bit;
    if (known !== 'Auto') offset += 8 + align4(known.length + 1);
  }
  const extack = newExtAck();
  const error = ethtoolSetFec(dev, wished, extack);
  return error === 0 ? ok() : netlinkError(extack.message, error, REFUSED_STATUS);
}

/** `ethtool --show-tunnels DEV`. */
export function showTunnels({ dev }: Target, words: string[]): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const tables = dev.ethtoolOps?.udp_tunnel_tables;
  if (tables === undefined)
    return netlinkError('device does not report tunnel offload info', EOPNOTSUPP);
  const text = tables.map(
    ({ entries, types }, i) =>
      `  UDP port table ${i}: \n    Size: ${entries}\n    Types: ${types.join(', ')}\n    No entries\n`,
  );
  return ok(`Tunnel information for ${dev.name}:\n${text.join('')}`);
}
