// What only few connections have (struct nf_ct_ext): a helper, sequence adjustment, a master, labels, a timestamp. Kept beside the
// table by row, so that ordinary rows pay nothing; a status bit says that there is something.

import type { Helper } from './helper.ts';
import { C_STATUS, IPS_HAS_EXT, ROW_WORDS } from './table.ts';
import type { Connection, ConnectionTable } from './table.ts';

/** How far one direction's sequence numbers are moved (struct nf_ct_seqadj). */
export interface SeqAdjust {
  /** Sequence number behind which the later offset holds. */
  position: number;
  offsetBefore: number;
  offsetAfter: number;
}

/** The lines of a direction's control connection: sequence numbers just behind a newline (struct nf_ct_ftp_master). */
export interface LineEnds {
  ends: number[];
}

export class Extension {
  helper: Helper | null = null;
  /** Whom this connection was expected by; its id is −1 once that one is gone. */
  master: Connection | null = null;
  seqAdjust: [SeqAdjust, SeqAdjust] | null = null;
  lines: [LineEnds, LineEnds] | null = null;
  /** 128 labels, least significant word first; null for none. */
  labels: Uint32Array | null = null;
  /** Time of confirmation, ps (nf_conntrack_timestamp); −1 for none. */
  startPs = -1;
}

export class Extensions {
  private readonly table: ConnectionTable;
  private readonly byRow = new Map<number, Extension>();

  constructor(table: ConnectionTable) {
    this.table = table;
  }

  /** What the row has, null for nothing. */
  get(id: number): Extension | null {
    if ((this.table.words[id * ROW_WORDS + C_STATUS] & IPS_HAS_EXT) === 0) return null;
    return this.byRow.get(id) ?? null;
  }

  /** What the row has, made if need be. */
  of(id: number): Extension {
    const old = this.get(id);
    if (old !== null) return old;
    const made = new Extension();
    this.byRow.set(id, made);
    this.table.words[id * ROW_WORDS + C_STATUS] |= IPS_HAS_EXT;
    return made;
  }

  forget(id: number): void {
    this.byRow.delete(id);
  }
}
