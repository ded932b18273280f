// ovs-dpctl(8) of Open vSwitch 3.1: datapaths, their ports and flows, limits of connections, as text with the tool's own words.
//
// Left out: dump-conntrack (use conntrack -L), meters' commands, ipf-*, cache-*, --names for dump-flows other than -m, the type= of
// tunnel ports (as with the tool, flow-based tunnels are devices that are added by name).

import { attachDatapaths } from '../../../stack/openvswitch/attach.ts';
import { OdpError } from '../../../stack/openvswitch/odp-scan.ts';
import { failed } from '../command.ts';
import type { CommandResult, ShellCommand } from '../command.ts';
import { DpctlError } from './common.ts';
import type { Call } from './common.ts';
import { addFlow, delFlow, delFlows, dumpFlows, getFlow, modFlow } from './flows.ts';
import { delLimits, getLimits, setLimits } from './limits.ts';
import { addDp, addIf, delDp, delIf, dumpDps, show } from './ports.ts';

interface Verb {
  /** Least and most arguments. */
  readonly min: number;
  readonly max: number;
  run(call: Call): CommandResult;
}

const OPTIONS = new Map([
  ['-m', 'more'],
  ['--more', 'more'],
  ['-s', 'statistics'],
  ['--statistics', 'statistics'],
  ['--names', 'names'],
  ['--no-names', 'no-names'],
  ['--clear', 'clear'],
  ['--may-create', 'may-create'],
]);

const VERBS: Readonly<Record<string, Verb | undefined>> = {
  'add-dp': { min: 1, max: Infinity, run: addDp },
  'del-dp': { min: 1, max: 1, run: delDp },
  'add-if': { min: 2, max: Infinity, run: addIf },
  'del-if': { min: 2, max: Infinity, run: delIf },
  'dump-dps': { min: 0, max: 0, run: dumpDps },
  show: { min: 0, max: Infinity, run: show },
  'add-flow': { min: 2, max: 3, run: addFlow },
  'mod-flow': { min: 2, max: 3, run: modFlow },
  'get-flow': { min: 1, max: 2, run: getFlow },
  'del-flow': { min: 1, max: 2, run: delFlow },
  'del-flows': { min: 0, max: 1, run: delFlows },
  'dump-flows': { min: 0, max: 1, run: dumpFlows },
  'ct-set-limits': { min: 1, max: Infinity, run: setLimits },
  'ct-get-limits': { min: 0, max: 2, run: getLimits },
  'ct-del-limits': { min: 1, max: 2, run: delLimits },
};

export const ovsDpctl: ShellCommand = {
  name: 'ovs-dpctl',
  summary: 'Open vSwitch datapaths: ports, flows, limits',
  run(args, ctx) {
    const options = new Set<string>();
    const rest: string[] = [];
    for (const arg of args) {
      const option = OPTIONS.get(arg);
      if (option !== undefined) options.add(option);
      else if (arg.startsWith('-') && arg.length > 1)
        return failed(1, `ovs-dpctl: unrecognized option '${arg}'\n`);
      else rest.push(arg);
    }
    const [name, ...words] = rest;
    if (name === undefined)
      return failed(1, 'ovs-dpctl: missing command name; use --help for help\n');
    const verb = VERBS[name];
    if (verb === undefined)
      return failed(1, `ovs-dpctl: unknown command '${name}'; use --help for help\n`);
    if (words.length < verb.min)
      return failed(1, `ovs-dpctl: '${name}' command requires at least ${verb.min} arguments\n`);
    if (words.length > verb.max)
      return failed(1, `ovs-dpctl: '${name}' command takes at most ${verb.max} arguments\n`);
    try {
      const datapaths = attachDatapaths(ctx.stack);
      if (datapaths === null) throw new DpctlError('no datapaths without netfilter');
      return verb.run({ ctx, datapaths, args: words, options });
    } catch (error) {
      if (error instanceof DpctlError || error instanceof OdpError)
        return failed(1, `ovs-dpctl: ${error.message}\n`);
      throw error;
    }
  },
};
