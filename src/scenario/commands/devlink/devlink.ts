// devlink(8), iproute2 6.1.0: dev, port, resource, health, trap, region; -j, -p, -s. A word may be shortened to any beginning of it.
// Output, errors and exit statuses as recorded (fixtures/recordings/offload/devlink); texts that are in no recording are the tool's own.
//
// Left out: sb, dpipe, rate, lc, monitor (refused as an unknown object is), -v, batch files.

import { DevlinkRegistry } from '../../../../driver/devlink.ts';
import { failed, ok } from '../command.ts';
import type { CommandContext, CommandResult, ShellCommand } from '../command.ts';
import { DevlinkUsageError, pick } from './args.ts';
import type { DevlinkFlags, DevlinkRunner } from './args.ts';
import { runDev } from './dev.ts';
import { runHealth } from './health.ts';
import { runPort, runRegion } from './port.ts';
import { runResource } from './resource.ts';
import { runTrap } from './trap.ts';

const OBJECTS: readonly (readonly [name: string, run: DevlinkRunner])[] = [
  ['dev', runDev],
  ['port', runPort],
  ['resource', runResource],
  ['region', runRegion],
  ['health', runHealth],
  ['trap', runTrap],
];

const USAGE =
  'Usage: devlink [ OPTIONS ] OBJECT { COMMAND | help }\n' +
  'where  OBJECT := { dev | port | resource | region | health | trap }\n' +
  '       OPTIONS := { -V[ersion] | -j[son] | -p[retty] | -s[tatistics] }\n';

export const devlink: ShellCommand = {
  name: 'devlink',
  summary: 'devices: dev (info, param, eswitch, reload), port, resource, health, trap, region',
  run(args: string[], ctx: CommandContext): CommandResult {
    const words = [...args];
    const flags: DevlinkFlags = { json: false, pretty: false, stats: false };
    while (words[0]?.startsWith('-') === true) {
      const flag = words.shift() ?? '';
      if (flag === '-V' || flag === '-Version') return ok('devlink utility, iproute2-6.1.0\n');
      if (!readFlag(flag, flags)) return failed(1, `Unknown option.\n${USAGE}`);
    }
    const object = words.shift();
    if (object === undefined || object === 'help') return failed(0, USAGE);
    const run = pick(OBJECTS, object);
    if (run === undefined) return failed(1, `Object "${object}" not found\n`);
    try {
      const { net } = ctx.stack;
      // Drivers' instances are in the initial namespace, wherever their ports have gone; no other has any.
      const isInitial = net === ctx.kernel.initNet;
      const devlinks = isInitial ? ctx.kernel.devlinks : new DevlinkRegistry();
      return run({ words, flags, devlinks, net });
    } catch (error) {
      if (error instanceof DevlinkUsageError) return failed(1, error.message);
      throw error;
    }
  },
};

/** Flags may stand together (`-jp`). */
function readFlag(flag: string, flags: DevlinkFlags): boolean {
  const long = ['--json', '--pretty', '--statistics'].find((one) => one === flag);
  const letters = long === undefined ? flag.slice(1) : long.charAt(2);
  for (const letter of letters)
    if (letter === 'j') flags.json = true;
    else if (letter === 'p') flags.pretty = true;
    else if (letter === 's') flags.stats = true;
    else return false;
  return letters !== '';
}
