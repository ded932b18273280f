// The option list that ends many pcapng blocks (draft-ietf-opsawg-pcapng section 3.5): code, length, value, padding to 4.
// A cursor that is set to a stretch of the window and steps from option to option; the caller picks the codes it knows.

import type { CaptureWindow } from './window.ts';

const OPTION_HEADER_BYTES = 4;
export const OPT_ENDOFOPT = 0;
export const OPT_COMMENT = 1;

export class OptionCursor {
  /** Code of the option the cursor stands at. */
  code = 0;
  /** Index of the option's value in the window. */
  valueAt = 0;
  /** Length of the value in bytes, without padding. */
  valueBytes = 0;
  private nextAt = 0;
  private end = 0;

  /** Sets the cursor before the options in [at, end) of the window. */
  start(at: number, end: number): void {
    this.nextAt = at;
    this.end = end;
  }

  /**
   * Steps to the next option: 1 found, 0 no more. Returns -1 when the option reaches beyond the end of the list;
   * `valueBytes` is then its claimed length.
   */
  next(window: CaptureWindow, little: boolean): number {
    const at = this.nextAt;
    if (at >= this.end) return 0;
    if (at + OPTION_HEADER_BYTES > this.end) {
      this.valueBytes = 0;
      return -1;
    }
    this.code = window.view.getUint16(at, little);
    this.valueBytes = window.view.getUint16(at + 2, little);
    this.valueAt = at + OPTION_HEADER_BYTES;
    if (this.code === OPT_ENDOFOPT) return 0;
    this.nextAt = this.valueAt + ((this.valueBytes + 3) & ~3);
    return this.nextAt > this.end ? -1 : 1;
  }

  /** Bytes that the list had left for the value of the option at which `next` returned -1. */
  get leftBytes(): number {
    return Math.max(this.end - this.valueAt, 0);
  }
}
