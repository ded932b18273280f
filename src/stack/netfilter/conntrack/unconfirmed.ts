// Entries whose packet is still on its way to confirmation. A packet that a rule dropped takes its entry with it: that is noticed when
// the next entry is made.

import type { SkBuff } from '../../../../driver/skb.ts';
import { C_FLOW_REFS, ROW_WORDS } from './table.ts';
import type { Connection, ConnectionTable } from './table.ts';

interface Unconfirmed {
  conn: Connection;
  skb: SkBuff;
}

/** What becomes of a row whose packet is gone. */
interface RowOwner {
  readonly table: ConnectionTable;
  release(id: number): void;
  freeRow(id: number): void;
}

export class UnconfirmedList {
  private readonly list: Unconfirmed[] = [];
  private readonly owner: RowOwner;

  constructor(owner: RowOwner) {
    this.owner = owner;
  }

  get isEmpty(): boolean {
    return this.list.length === 0;
  }

  /** Handles of the list. */
  conns(): Connection[] {
    return this.list.map(({ conn }) => conn).filter((conn) => conn.id >= 0);
  }

  add(conn: Connection, skb: SkBuff): void {
    this.list.push({ conn, skb });
  }

  remove(conn: Connection): void {
    const { list } = this;
    for (let i = list.length - 1; i >= 0; i--)
      if (list[i].conn === conn) {
        list[i] = list[list.length - 1];
        list.pop();
        return;
      }
  }

  /** Frees the entries of packets that are gone. */
  reap(): void {
    const { list, owner } = this;
    for (let i = list.length - 1; i >= 0; i--) {
      const { conn, skb } = list[i];
      if (skb.poolIndex !== -1 && skb.nfct === conn) continue;
      list.splice(i, 1);
      if (conn.id < 0) continue;
      if (owner.table.words[conn.id * ROW_WORDS + C_FLOW_REFS] > 0) owner.release(conn.id);
      else owner.freeRow(conn.id);
    }
  }
}
