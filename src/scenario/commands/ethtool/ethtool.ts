// ethtool(8), version 6.1: DEV alone, -i, -S, -a, -A, -g, -G, -l, -L, -c, -C, -k, -K, -d, -x, -X, -n, -N, -P, -T, -s, --show-fec,
// --set-fec, --show-tunnels, --version, with the long names; what no driver here has is refused as the kernel does (settings.ts). Output, messages and exit statuses as recorded from the real tool (fixtures/recordings/ethtool,
// offload); --json where it has it (-k, -a, --show-fec, -S with groups). Other options are refused as an unknown argument is.

import { ENODEV, EOPNOTSUPP, strerror } from '../../../../driver/errno.ts';
import { ethtoolDrvInfo } from '../../../../driver/ethtool-core.ts';
import { failed, ok } from '../command.ts';
import type { CommandContext, CommandResult, ShellCommand } from '../command.ts';
import { badArguments } from './args.ts';
import type { Target } from './args.ts';
import { setFeatures, showFeatures } from './features.ts';
import { setFec, showFec, showTunnels } from './fec.ts';
import { linkSettings, noSettings, setPause, showPause } from './link.ts';
import { registerDump } from './regs.ts';
import {
  setChannels,
  setCoalesce,
  setRings,
  showChannels,
  showCoalesce,
  showRings,
} from './rings.ts';
import { setRxfh, showRxfh } from './rxfh.ts';
import { setRxnfc, showRxnfc } from './rxnfc.ts';
import { permanentAddress, REFUSALS, setLink, timestamping } from './settings.ts';
import { statistics } from './statistics.ts';

/** Exit status of `ethtool -i` on a device without a driver's information. */
const NO_INFO_STATUS = 71;

type Option = (
  target: Target,
  words: string[],
  json: boolean,
  ctx: CommandContext,
) => CommandResult;

const OPTIONS: readonly (readonly [names: readonly string[], run: Option])[] = [
  [['-i', '--driver'], driverInfo],
  [['-S', '--statistics'], statistics],
  [['-a', '--show-pause'], showPause],
  [['-A', '--pause'], setPause],
  [['-g', '--show-ring'], showRings],
  [['--show-fec'], showFec],
  [['--set-fec'], setFec],
  [['--show-tunnels'], showTunnels],
  [['-G', '--set-ring'], setRings],
  [['-l', '--show-channels'], showChannels],
  [['-L', '--set-channels'], setChannels],
  [['-c', '--show-coalesce'], showCoalesce],
  [['-C', '--coalesce'], setCoalesce],
  [['-k', '--show-features', '--show-offload'], showFeatures],
  [['-K', '--features', '--offload'], setFeatures],
  [['-d', '--register-dump'], registerDump],
  [['-x', '--show-rxfh-indir', '--show-rxfh'], showRxfh],
  [['-X', '--set-rxfh-indir', '--rxfh'], setRxfh],
  [['-n', '-u', '--show-nfc', '--show-ntuple'], showRxnfc],
  [['-N', '-U', '--config-nfc', '--config-ntuple'], setRxnfc],
  [['-P', '--show-permaddr'], permanentAddress],
  [['-T', '--show-time-stamping'], timestamping],
  [['-s', '--change'], setLink],
  ...REFUSALS.map(([names, refuse]) => [names, ({ dev }: Target) => refuse(dev)] as const),
];
const HELP =
  'Usage: ethtool DEV                 link settings\n' +
  '       ethtool OPTION DEV [...]    as ethtool(8) has them:\n' +
  '         -i driver  -S statistics  -d registers  -a -A pause  -g -G rings  -l -L channels\n' +
  '         -c -C coalescing  -k -K features  -x -X hash and indirection  -n -N flow rules\n' +
  '         -P address  -T time stamps  -s link  --show-fec --set-fec  --show-tunnels\n';
/** Options with a JSON form (of those that the model has). */
const WITH_JSON: readonly Option[] = [showFeatures, showPause, showFec];

export const ethtool: ShellCommand = {
  name: 'ethtool',
  summary:
    'settings of a device: DEV, -i -S -a -A -g -G -l -L -c -C -k -K -d -x -X -n -N --show-fec',
  run(args: string[], ctx: CommandContext): CommandResult {
    if (args[0] === '--version') return ok('ethtool version 6.1\n');
    if (args[0] === '-h' || args[0] === '--help') return ok(HELP);
    if (args[0] !== undefined && !args[0].startsWith('-')) {
      const only = ctx.stack.links.byName(args[0]);
      return only === null ? noSettings() : linkSettings(only);
    }
    const json = args[0] === '--json';
    const [word, name, ...words] = json ? args.slice(1) : args;
    const option = OPTIONS.find(([names]) => names.includes(word ?? ''))?.[1];
    if (option === undefined || name === undefined) return badArguments();
    const hasJson = WITH_JSON.includes(option) || (option === statistics && words.length > 0);
    if (json && !hasJson) return badArguments();
    const result = option({ name, dev: ctx.stack.links.byName(name) }, words, json, ctx);
    // The list was begun before the kernel refused.
    if (json && result.stderr.startsWith('netlink error')) result.stdout = '[ ]\n';
    return result;
  },
};

function driverInfo(
  { dev }: Target,
  words: string[],
  _json: boolean,
  ctx: CommandContext,
): CommandResult {
  if (words.length > 0) return badArguments();
  const info = dev === null ? null : ethtoolDrvInfo(dev, ctx.kernel.devlinks);
  if (dev === null || info === null) {
    const error = strerror(dev === null ? ENODEV : EOPNOTSUPP);
    return failed(NO_INFO_STATUS, `Cannot get driver information: ${error}\n`);
  }
  const hasRegs = dev.ethtoolOps?.get_regs === undefined ? 'no' : 'yes';
  const hasStats = (dev.ethtoolOps?.get_strings?.(dev) ?? []).length > 0 ? 'yes' : 'no';
  return ok(
    `driver: ${info.driver}\n` +
      `version: ${info.version}\n` +
      `firmware-version: ${info.fw_version}\n` +
      `expansion-rom-version: ${info.expansion_rom_version}\n` +
      `bus-info: ${info.bus_info}\n` +
      `supports-statistics: ${hasStats}\n` +
      'supports-test: no\n' +
      'supports-eeprom-access: no\n' +
      `supports-register-dump: ${hasRegs}\n` +
      'supports-priv-flags: no\n',
  );
}
