// `ip netns` of iproute2 6.1: list, add, delete, exec (also `ip -all netns exec|delete`), list-id. Texts and exit statuses are
// recorded (fixtures/recordings/netns).
//
// A command under `exec` runs in that namespace to its end and answers as it would there. Left out: set, attach, pids, identify,
// monitor (no processes here): unknown to this ip.

import type { NetStack } from '../../stack/net-stack.ts';
import { Namespaces } from '../../stack/namespaces.ts';
import { COMMAND_NOT_FOUND, failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { IpError, abbreviates, jsonText } from './ip-common.ts';
import type { IpOptions, Words } from './ip-common.ts';

/** The stack of a namespace by name; the tool's message and status 255 for an unknown one. */
export function namespaceOfName(stack: NetStack, name: string): NetStack {
  const found = Namespaces.of(stack).find(name);
  if (found === null)
    throw new IpError(255, `Cannot open network namespace "${name}": No such file or directory`);
  return found;
}

/** `ip netns VERB ...`. */
export function netns(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return list(ctx.stack, options);
  const verb = words.next();
  if (verb === 'list-id') return listIds(ctx.stack);
  if (abbreviates(verb, 'list') || abbreviates(verb, 'show') || verb === 'lst')
    return list(ctx.stack, options);
  if (abbreviates(verb, 'add')) return add(words, ctx.stack);
  if (abbreviates(verb, 'delete')) return remove(words, ctx.stack, options);
  if (abbreviates(verb, 'exec')) return exec(words, ctx, options);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip netns help".`);
}

function list(stack: NetStack, options: IpOptions): CommandResult {
  const all = Namespaces.of(stack);
  const rows = all.names().map((name) => {
    const id = all.idOf(stack, all.find(name) as NetStack);
    return id < 0 ? { name } : { name, id };
  });
  if (options.json) return ok(jsonText(rows));
  return ok(
    rows.map(({ name, id }) => `${name}${id === undefined ? '' : ` (id: ${id})`}\n`).join(''),
  );
}

function listIds(stack: NetStack): CommandResult {
  const all = Namespaces.of(stack);
  const rows = all
    .all()
    .map((other) => ({ id: all.idOf(stack, other), name: all.nameOf(other) }))
    .filter(({ id }) => id >= 0)
    .sort((a, b) => a.id - b.id);
  const named = (name: string): string => (name === '' ? '' : ` (iproute2 netns name: ${name})`);
  return ok(rows.map(({ id, name }) => `nsid ${id}${named(name)}\n`).join(''));
}

function nameOf(words: Words): string {
  if (words.isEmpty) throw new IpError(1, 'No netns name specified');
  const name = words.next();
  if (name.includes('/') || name === '.' || name === '..' || name.length > 255)
    throw new IpError(255, `Invalid netns name "${name}"`);
  return name;
}

function add(words: Words, stack: NetStack): CommandResult {
  const name = nameOf(words);
  const answer = Namespaces.of(stack).add(name);
  if (answer.error === 0) return ok();
  return failed(1, `Cannot create namespace file "/run/netns/${name}": File exists\n`);
}

function remove(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  const all = Namespaces.of(stack);
  if (options.all) {
    for (const name of all.names()) all.remove(name);
    return ok();
  }
  const name = nameOf(words);
  if (all.remove(name).error === 0) return ok();
  return failed(
    1,
    `Cannot remove namespace file "/run/netns/${name}": No such file or directory\n`,
  );
}

function exec(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  const all = Namespaces.of(ctx.stack);
  if (!options.all) {
    const name = nameOf(words);
    const command = commandOf(words);
    return execIn(namespaceOfName(ctx.stack, name), command, ctx);
  }
  const command = commandOf(words);
  const out: CommandResult = { status: 0, stdout: '', stderr: '' };
  for (const name of all.names()) {
    const result = execIn(all.find(name) as NetStack, command, ctx);
    out.stdout += `\nnetns: ${name}\n${result.stdout}`;
    out.stderr += result.stderr;
  }
  return out;
}

function commandOf(words: Words): string[] {
  const command = words.rest();
  if (command.length === 0) throw new IpError(1, 'No command specified');
  return command;
}

function execIn(stack: NetStack, command: string[], ctx: CommandContext): CommandResult {
  const result = ctx.run(command, { ...ctx, stack }, ctx.stdin);
  if (result.status !== COMMAND_NOT_FOUND) return result;
  return failed(1, `exec of "${command[0]}" failed: No such file or directory\n`);
}
