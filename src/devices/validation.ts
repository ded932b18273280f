// Published figures that the model is held against, and what the model says: `flowtwin validate` prints them.
//
// A row is calibrated when the model holds the published figure, or a constant fitted to it; it predicts when the figure
// comes out of something else (a formula over other constants, an algorithm run). Rows from memory of a document gate
// nothing. Rows of one subject are made in validation-*.ts; running them takes well under a second, but for the forwarding rates
// (some seconds), which are asked for separately.

import type { DeviceProfile } from './profile.ts';
import { deviceRows } from './validation-devices.ts';
import { forwardingRows } from './validation-forwarding.ts';
import { hardwareRows } from './validation-hardware.ts';
import { pcieRows } from './validation-pcie.ts';
import type { Published } from './validation-row.ts';
import { tableRows } from './validation-tables.ts';
import { tunRows } from './validation-tun.ts';

export interface ValidationRow extends Published {
  /** (model − published) / published. */
  error: number;
  holds: boolean;
}

/** All rows in the order of their cases. `device` loads a shipped profile by name. */
export function validationRows(device: (name: string) => DeviceProfile): ValidationRow[] {
  return inOrder([...pcieRows(), ...hardwareRows(), ...tableRows(), ...deviceRows(device)]);
}

/** Rows of forwarding rates (V23, V24, the flowtable's claim, tun's). */
export function rateRows(): ValidationRow[] {
  return inOrder([...forwardingRows(), ...tunRows()]);
}

/** Judges rows and orders them: cases first, then claims. */
function inOrder(rows: readonly Published[]): ValidationRow[] {
  const number = ({ id }: ValidationRow): number =>
    Number(id.slice(1)) + (id.startsWith('V') ? 0 : 1000);
  return rows.map(judge).sort((a, b) => number(a) - number(b));
}

/** Whether a row holds. Exact figures allow for rounding in the last bits of a number. */
export function judge(row: Published): ValidationRow {
  const { published, model, tolerance, bound } = row;
  if (published === null) return { ...row, gated: false, error: 0, holds: true };
  const error = published === 0 ? model : (model - published) / published;
  const slack = Math.max(tolerance, 1e-9);
  const holds =
    bound === 'least'
      ? error >= -slack
      : bound === 'most'
        ? error <= slack
        : Math.abs(error) <= slack;
  return { ...row, error, holds };
}
