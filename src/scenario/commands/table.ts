// The table of commands: one line a tool. What is not in it is "command not found".

import { conntrack } from './conntrack/conntrack.ts';
import { devlink } from './devlink/devlink.ts';
import { flowtable } from './flowtable.ts';
import { ethtool } from './ethtool/ethtool.ts';
import { cat, echo } from './sysfs.ts';
import { ip } from './ip.ts';
import { nft } from './nft.ts';
import { sysctl } from './sysctl.ts';
import { tc } from './tc.ts';
import { tuntap } from './tuntap.ts';
import type { ShellCommand } from './command.ts';

/** By name, in the order of `help`. */
export const COMMANDS: ReadonlyMap<string, ShellCommand> = new Map(
  [ip, nft, conntrack, flowtable, ethtool, devlink, sysctl, tc, tuntap, cat, echo].map(
    (command) => [command.name, command],
  ),
);
