// E.75: every cell of the state table of the specification (C.4), as written there: an entry is driven into the state, the event comes,
// and the entry's state (or that the packet is INVALID) is compared. The rules beside the table that change a cell are in `BESIDE`.

import { describe, expect, it } from 'vitest';
import { NfStack } from '../../../support/nf-stack.ts';
import { TcpPath } from '../../../support/tcp-path.ts';

const TABLE = `
| NO | SS | IV | IV | ES | IV | IV | IV | IV | IV | IV |
| SS | SS | IV | IV | IV | CL | S2 | SR | IV | IG | CL |
| SR | IG | SR | FW | ES | CL | IV | IG | FW | SR | CL |
| ES | IG | IV | FW | ES | CL | IV | IG | FW | ES | CL |
| FW | IG | IV | LA | CW | CL | IV | IG | LA | CW | CL |
| CW | IG | IV | LA | CW | CL | IV | IG | LA | CW | CL |
| LA | IG | IV | LA | TW | CL | IV | IG | LA | TW | CL |
| TW | SS | IV | TW | TW | CL | SS | IG | TW | TW | CL |
| CL | SS | IV | CL | CL | CL | IV | IG | CL | CL | CL |
| S2 | S2 | SR | IV | IV | CL | S2 | SR | IV | IG | CL |`;

const EVENTS = ['S', 'SA', 'FA', 'A', 'RA'];
const NAMES: Record<string, string> = {
  SS: 'SYN_SENT',
  SR: 'SYN_RECV',
  ES: 'ESTABLISHED',
  FW: 'FIN_WAIT',
  CW: 'CLOSE_WAIT',
  LA: 'LAST_ACK',
  TW: 'TIME_WAIT',
  CL: 'CLOSE',
  S2: 'SYN_SENT2',
};
const PATHS: Record<string, string> = {
  NO: '',
  SS: 'cS',
  SR: 'cS sSA',
  ES: 'cS sSA cA',
  FW: 'cS sSA cA cFA',
  CW: 'cS sSA cA cFA sA',
  LA: 'cS sSA cA cFA sA sFA',
  TW: 'cS sSA cA cFA sA sFA cA',
  CL: 'cS sSA cA sRA',
  S2: 'cS sS',
};

/** Cells that a rule beside the table decides (C.4, "Extra rules"): state, side and event, and what then is. */
const BESIDE: Record<string, string> = {
  // Before the first reply an accepted RST deletes the entry.
  'SS cR': 'gone',
  'SS sRA': 'gone',
  // CLOSE came by the server's RST: the client's SYN may not reopen it, so it is ignored.
  'CL cS': 'CL',
};

/** Packets that have no connection are of the original direction, whoever sends them. */
const isReachable = (state: string, side: string): boolean => state !== 'NO' || side === 'c';

const RULES = `table inet t {
  chain forwarded { type filter hook forward priority 0; ct state invalid accept; }
}
`;
const CT_STATE_INVALID = 1;
const PORT = 40000;

interface Cell {
  state: string;
  side: 'c' | 's';
  flags: string;
  outcome: string;
}

const CELLS = TABLE.trim()
  .split('\n')
  .flatMap((line): Cell[] => {
    const [state, ...outcomes] = line
      .split('|')
      .slice(1, -1)
      .map((word) => word.trim());
    return outcomes.map((outcome, i) => ({
      state,
      side: i < EVENTS.length ? 'c' : 's',
      // The client has nothing to acknowledge yet: an ACK of anything would be out of the window.
      flags: state === 'SS' && i === EVENTS.length - 1 ? 'R' : EVENTS[i % EVENTS.length],
      outcome,
    }));
  })
  .filter(({ state, side }) => isReachable(state, side));

/** State of the one entry; null for none. */
function stateOf(stack: NfStack): string | null {
  const lines = stack.connections();
  expect(lines.length).toBeLessThanOrEqual(1);
  return /^ipv4 +2 tcp +6 \d+ (\S+)/.exec(lines[0] ?? '')?.[1] ?? null;
}

describe('E.75: the TCP state table, cell by cell', () => {
  it('has all cells that can be reached', () => expect(CELLS.length).toBe(95));

  it.each(CELLS)('$state, $side sends $flags: $outcome', ({ state, side, flags, outcome }) => {
    const stack = new NfStack();
    expect(stack.nf.nft.load(RULES)).toBe('');
    const path = new TcpPath();
    let seconds = 0.1;
    for (const word of PATHS[state].split(' ').filter((w) => w !== '')) {
      const { frame, from } = path.segment(word, PORT);
      stack.at((seconds += 0.001)).send(frame, from);
    }
    expect(stateOf(stack)).toBe(NAMES[state] ?? null);
    const { frame, from } = path.segment(side + flags, PORT, state === 'SS' || state === 'S2');
    const passage = stack.at(seconds + 0.001).send(frame, from);
    const beside = BESIDE[`${state} ${side}${flags}`];
    if (beside !== undefined) {
      expect(passage.ctState).not.toBe(CT_STATE_INVALID);
      expect(stateOf(stack)).toBe(NAMES[beside] ?? null);
      return;
    }
    expect(passage.ctState === CT_STATE_INVALID).toBe(outcome === 'IV');
    const kept = outcome === 'IV' || outcome === 'IG';
    expect(stateOf(stack)).toBe(NAMES[kept ? state : outcome] ?? null);
  });
});
