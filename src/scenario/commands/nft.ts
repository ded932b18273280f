// nft(8) as a command of a scenario: hands the words to the machine's rule set (src/stack/netfilter/nft).

import type { Netfilter } from '../../stack/netfilter/index.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { failed } from './command.ts';

/** The netfilter of the context's stack, null when none was attached. */
export function netfilterOf(ctx: CommandContext): Netfilter | null {
  return ctx.stack.netfilter as Netfilter | null;
}

export const nft: ShellCommand = {
  name: 'nft',
  summary: 'rule sets and flowtables: nft -f FILE, nft list ruleset, nft add rule …',
  run(args: string[], ctx: CommandContext, stdin = ''): CommandResult {
    const netfilter = netfilterOf(ctx);
    if (netfilter === null) return failed(1, 'nft: the machine has no netfilter\n');
    return netfilter.nft.run(args, stdin, ctx.readText);
  },
};
