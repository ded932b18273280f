// ip(8) of iproute2 6.1: options, objects (link, addr, route, neigh, rule) and the error messages between them. Text and JSON
// are those of the real tool (recorded), for what the model has; the objects are in ip-link.ts, ip-addr.ts, ip-route.ts, ip-neigh.ts.
//
// `-n NAME` and `-all netns exec` act on other network namespaces (ip-netns.ts). Left out: -b, -p, -r, -t and the objects that the model
// does not have: unknown to this ip, and refused as such.

import { AF_INET, AF_INET6 } from '../../stack/ip/address.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { addr } from './ip-addr.ts';
import { IpError, Words, abbreviates, jsonText } from './ip-common.ts';
import type { IpOptions } from './ip-common.ts';
import { link } from './ip-link.ts';
import { neigh } from './ip-neigh.ts';
import { namespaceOfName, netns } from './ip-netns.ts';
import { route } from './ip-route.ts';
import { tuntap } from './ip-tuntap.ts';

const VERSION = 'ip utility, iproute2-6.1.0, libbpf 1.1.0\n';

type IpObject = (words: Words, ctx: CommandContext, options: IpOptions) => CommandResult;

/** In the order in which abbreviations are tried. */
const OBJECTS: readonly (readonly [string, IpObject])[] = [
  ['address', addr],
  ['route', route],
  ['rule', rule],
  ['neighbor', neigh],
  ['neighbour', neigh],
  ['link', link],
  ['tuntap', tuntap],
  ['netns', netns],
];

export const ip: ShellCommand = {
  name: 'ip',
  summary: 'links, addresses, routes, neighbours, tuntap, network namespaces (iproute2)',
  run(args, ctx, stdin) {
    try {
      return run(new Words(args), stdin === undefined ? ctx : { ...ctx, stdin });
    } catch (error) {
      if (error instanceof IpError) return failed(error.status, `${error.message}\n`);
      throw error;
    }
  },
};

function run(words: Words, given: CommandContext): CommandResult {
  const options: IpOptions = {
    family: 0,
    json: false,
    stats: false,
    details: false,
    brief: false,
    oneline: false,
    all: false,
  };
  let ctx = given;
  while (words.peek.startsWith('-')) {
    const word = words.next();
    const option = word.startsWith('--') ? word.slice(1) : word;
    if (option === '-V' || option === '-Version') return ok(VERSION);
    if (option.length > 1 && abbreviates(option, '-netns'))
      ctx = { ...ctx, stack: namespaceOfName(ctx.stack, words.next()) };
    else setOption(option, words, options);
  }
  if (words.isEmpty) return failed(255, USAGE);
  const object = words.next();
  const found = OBJECTS.find(([name]) => abbreviates(object, name));
  if (found === undefined) return failed(1, `Object "${object}" is unknown, try "ip help".\n`);
  const result = found[1](words, ctx, options);
  if (!options.oneline || options.json) return result;
  return { ...result, stdout: oneLines(result.stdout) };
}

function setOption(option: string, words: Words, options: IpOptions): void {
  if (option === '-4') options.family = AF_INET;
  else if (option === '-6') options.family = AF_INET6;
  else if (abbreviates(option, '-family')) {
    const name = words.next();
    if (name === 'inet') options.family = AF_INET;
    else if (name === 'inet6') options.family = AF_INET6;
    else throw new IpError(255, `Error: argument "${name}" is wrong: invalid protocol family`);
  } else if (option === '-j' || abbreviates(option, '-json')) options.json = true;
  else if (option === '-br' || abbreviates(option, '-brief')) options.brief = true;
  else if (option === '-s' || abbreviates(option, '-stats') || option === '-statistics')
    options.stats = true;
  else if (abbreviates(option, '-details')) options.details = true;
  else if (abbreviates(option, '-all')) options.all = true;
  else if (abbreviates(option, '-oneline')) options.oneline = true;
  else throw new IpError(255, `Option "${option}" is unknown, try "ip -help".`);
}

const USAGE =
  'Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n' +
  'where  OBJECT := { address | link | neighbour | netns | route | rule | tuntap }\n' +
  '       OPTIONS := { -V[ersion] | -s[tatistics] | -d[etails] | -j[son] | -br[ief] |\n' +
  '                    -f[amily] { inet | inet6 } | -4 | -6 | -o[neline] | -n[etns] name | -a[ll] }\n';

/** `-o`: continuation lines are joined by a backslash. */
function oneLines(text: string): string {
  return text.replace(/\n(?=[ \t])/g, '\\');
}

/** `ip rule show`: the three rules every machine starts with; the model has no policy routing. */
function rule(words: Words, _ctx: CommandContext, options: IpOptions): CommandResult {
  const verb = words.isEmpty ? 'show' : words.next();
  if (abbreviates(verb, 'add') || abbreviates(verb, 'delete') || abbreviates(verb, 'flush'))
    return failed(2, 'RTNETLINK answers: Operation not supported\n');
  if (!abbreviates(verb, 'list') && !abbreviates(verb, 'show') && verb !== 'lst')
    throw new IpError(255, `Command "${verb}" is unknown, try "ip rule help".`);
  const rules = [
    { priority: 0, src: 'all', table: 'local' },
    { priority: 32766, src: 'all', table: 'main' },
  ];
  if (options.family !== AF_INET6) rules.push({ priority: 32767, src: 'all', table: 'default' });
  if (options.json) return ok(jsonText(rules));
  return ok(rules.map((r) => `${r.priority}:\tfrom ${r.src} lookup ${r.table}\n`).join(''));
}
