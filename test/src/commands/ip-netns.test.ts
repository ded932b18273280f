// Network namespaces at the prompt: `ip netns`, `ip -n`, veth pairs and moved devices against what iproute2 6.1 on a real Linux printed
// (fixtures/recordings/namespaces), and what happens to a card's ports and flow entries.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StackRig } from '../../support/stack-rig.ts';

describe('ip netns', () => {
  const url = new URL(
    '../../../fixtures/recordings/namespaces/ip-netns.commands.txt',
    import.meta.url,
  );
  const rig = new StackRig();
  const parts = readFileSync(url, 'utf8').split(/^\$ /m).slice(1);
  it.each(parts.map((part) => [part.split('\n', 1)[0], part]))('%s', (command, part) => {
    const { status, stdout, stderr } = rig.run(command);
    const told = stdout + stderr + (status === 0 ? '' : `[rc ${status}]\n`);
    expect(`${command}\n${told}`).toBe(part);
  });
});
