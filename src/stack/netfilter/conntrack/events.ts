// Conntrack events (nf_conntrack_ecache.c): what changed about a connection is gathered while its packet is on the way and told where
// the packet is confirmed, as one NEW or UPDATE; the end of a connection is told at once. Nothing is gathered while nobody listens.

import { C_STATUS, C_TCP_STATE, IPS_ASSURED, IPS_SEEN_REPLY, ROW_WORDS } from './table.ts';

export const EVENT_NEW = 1 << 0;
export const EVENT_RELATED = 1 << 1;
const EVENT_DESTROY = 1 << 2;
const EVENT_REPLY = 1 << 3;
const EVENT_ASSURED = 1 << 4;
export const EVENT_PROTOINFO = 1 << 5;
export const EVENT_HELPER = 1 << 6;
export const EVENT_MARK = 1 << 7;
export const EVENT_LABEL = 1 << 9;

export type EventKind = 'NEW' | 'UPDATE' | 'DESTROY';

/** Told of each event while the row still has its values. */
export type EventListener = (kind: EventKind, id: number, bits: number) => void;

export class ConntrackEvents {
  private readonly listeners: EventListener[] = [];
  private readonly pending = new Map<number, number>();
  /** Whether anybody listens. */
  isOn = false;

  listen(listener: EventListener): void {
    this.listeners.push(listener);
    this.isOn = true;
  }

  /** Gathers what changed about a row. */
  note(id: number, bits: number): void {
    if (this.isOn) this.pending.set(id, (this.pending.get(id) ?? 0) | bits);
  }

  /** Gathers what a tracker changed about a row whose status and protocol state were these. */
  noteChanges(words: Int32Array, id: number, statusBefore: number, stateBefore: number): void {
    const row = id * ROW_WORDS;
    const gained = words[row + C_STATUS] & ~statusBefore;
    let bits = 0;
    if (words[row + C_TCP_STATE] !== stateBefore) bits |= EVENT_PROTOINFO;
    if ((gained & IPS_SEEN_REPLY) !== 0) bits |= EVENT_REPLY;
    if ((gained & IPS_ASSURED) !== 0) bits |= EVENT_ASSURED;
    if (bits !== 0) this.note(id, bits);
  }

  /** Tells what was gathered about a confirmed row. */
  deliver(id: number): void {
    const bits = this.pending.get(id);
    if (bits === undefined) return;
    this.pending.delete(id);
    this.tell((bits & (EVENT_NEW | EVENT_RELATED)) !== 0 ? 'NEW' : 'UPDATE', id, bits);
  }

  /** The connection ends now. */
  destroyed(id: number): void {
    this.pending.delete(id);
    if (this.isOn) this.tell('DESTROY', id, EVENT_DESTROY);
  }

  /** A row that was never confirmed goes. */
  forget(id: number): void {
    this.pending.delete(id);
  }

  private tell(kind: EventKind, id: number, bits: number): void {
    for (const listener of this.listeners) listener(kind, id, bits);
  }
}
