// One published figure beside the model's (validation.ts).

export interface Published {
  /** Case of the project's list (V1 …), or a claim (C and the number of its issue). */
  id: string;
  figure: string;
  source: string;
  unit: string;
  /** null: nothing is published, the model's figure stands alone. */
  published: number | null;
  model: number;
  /** Largest relative error; 0 for exact figures. */
  tolerance: number;
  basis: 'calibrated' | 'predicted';
  /** False for figures from memory, and for known differences that docs/fidelity.md gives the reason of. */
  gated: boolean;
  /** 'least' and 'most': the published figure bounds the model's from below or above. */
  bound: 'equal' | 'least' | 'most';
  /** Lines printed below the table: how the model's figure came about. */
  notes?: readonly string[];
}

/** A row with the usual values: exact, predicted, gated. */
export function row(
  id: string,
  figure: string,
  source: string,
  unit: string,
  published: number | null,
  model: number,
  rest: Partial<Pick<Published, 'tolerance' | 'basis' | 'gated' | 'bound'>> = {},
): Published {
  const usual = { tolerance: 0, basis: 'predicted', gated: true, bound: 'equal' } as const;
  return { id, figure, source, unit, published, model, ...usual, ...rest };
}
