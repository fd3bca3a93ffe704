/** A number with its unit, as in `1 second` and `2 seconds`. */
export function counted(number: number, unit: string): string {
    return number === 1 ? `${number} ${unit}` : `${number} ${unit}s`;
}
