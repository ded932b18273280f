// The oracle of the classifiers: every rule in a list, every lookup asks all of them. BigInt keys; ranges field by field.

/** A rule: fields that must each lie within low..high or agree under a mask. */
export interface OracleRule {
  id: number;
  priority: number;
  fields: OracleField[];
}

export type OracleField = { low: bigint; high: bigint } | { value: bigint; mask: bigint };

export class LinearClassifier {
  readonly rules = new Map<number, OracleRule>();

  insert(rule: OracleRule): void {
    this.rules.set(rule.id, rule);
  }

  remove(id: number): boolean {
    return this.rules.delete(id);
  }

  /** Id of the matching rule with the lowest (priority, id), -1 for none. */
  lookup(key: readonly bigint[]): number {
    let winner: OracleRule | null = null;
    for (const rule of this.rules.values()) {
      if (!rule.fields.every((field, at) => agrees(field, key[at]))) continue;
      if (winner === null || rule.priority < winner.priority) winner = rule;
      else if (rule.priority === winner.priority && rule.id < winner.id) winner = rule;
    }
    return winner === null ? -1 : winner.id;
  }
}

function agrees(field: OracleField, value: bigint): boolean {
  if ('low' in field) return field.low <= value && value <= field.high;
  return (value & field.mask) === (field.value & field.mask);
}
