// The table of commands, one line a tool, and how they are run. What is not in it is "command not found".

import { bridge } from './bridge/bridge.ts';
import { conntrack } from './conntrack/conntrack.ts';
import { devlink } from './devlink/devlink.ts';
import { flowtable } from './flowtable.ts';
import { ethtool } from './ethtool/ethtool.ts';
import { cat, echo } from './sysfs.ts';
import { ip } from './ip.ts';
import { nft } from './nft.ts';
import { ovsDpctl } from './ovs-dpctl/ovs-dpctl.ts';
import { sysctl } from './sysctl.ts';
import { tc } from './tc.ts';
import { tuntap } from './tuntap.ts';
import { COMMAND_NOT_FOUND, failed } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';

/** By name, in the order of `help`. */
export const COMMANDS: ReadonlyMap<string, ShellCommand> = new Map(
  [
    ip,
    bridge,
    nft,
    conntrack,
    flowtable,
    ethtool,
    devlink,
    ovsDpctl,
    sysctl,
    tc,
    tuntap,
    cat,
    echo,
  ].map((command) => [command.name, command]),
);

/** Runs one command (its words) in a namespace of a machine: 127 for one that does not exist. */
export function runCommand(
  words: readonly string[],
  machine: Omit<CommandContext, 'run'>,
  stdin?: string,
): CommandResult {
  const command = COMMANDS.get(words[0] ?? '');
  if (command === undefined)
    return failed(COMMAND_NOT_FOUND, `${words[0] ?? ''}: command not found\n`);
  return command.run(words.slice(1), { ...machine, run: runCommand }, stdin);
}
