// Templates: what a rule before conntrack says of the connection to come, the zone (`ct zone set`). A template is a handle without a
// row: its negative id holds the zones, so that all code that looks at a handle's id takes it for "no connection".

import { Connection } from './table.ts';

const FIRST_TEMPLATE = -2;

export class ZoneTemplates {
  private readonly made = new Map<number, Connection>();

  /** The template of a zone pair. Zones are 16 bits. */
  of(originalZone: number, replyZone: number): Connection {
    const id = FIRST_TEMPLATE - (originalZone + replyZone * 0x1_0000);
    let template = this.made.get(id);
    if (template === undefined) {
      template = new Connection(id);
      this.made.set(id, template);
    }
    return template;
  }
}

export function isTemplate(conn: Connection): boolean {
  return conn.id <= FIRST_TEMPLATE;
}

export function originalZoneOf(template: Connection): number {
  return (FIRST_TEMPLATE - template.id) % 0x1_0000;
}

export function replyZoneOf(template: Connection): number {
  return Math.floor((FIRST_TEMPLATE - template.id) / 0x1_0000);
}
