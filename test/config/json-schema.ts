/** As much of JSON Schema 2020-12 as our own schema uses. A keyword it does not know is an error, not a pass. */

type Schema = Readonly<Record<string, unknown>>;

const ANNOTATIONS = new Set(['$schema', '$defs', 'title', 'description', 'default', 'examples']);

/** Where and why `value` does not conform; empty when it does. */
export function violations(value: unknown, schema: Schema, root: Schema = schema, path = ''): string[] {
  return Object.entries(schema).flatMap(([keyword, rule]): string[] => {
    if (ANNOTATIONS.has(keyword)) return [];
    const wrong = (why: string): string[] => [`${path}: ${why}`];
    switch (keyword) {
      case '$ref': return violations(value, resolve(root, String(rule)), root, path);
      case 'type': return hasType(value, String(rule)) ? [] : wrong(`not of type ${String(rule)}`);
      case 'const': return value === rule ? [] : wrong(`not ${JSON.stringify(rule)}`);
      case 'enum': return Array.isArray(rule) && rule.includes(value) ? [] : wrong(`not one of ${JSON.stringify(rule)}`);
      case 'anyOf': return Array.isArray(rule) && rule.some(one => violations(value, one as Schema, root, path).length === 0) ? [] : wrong('none of anyOf');
      case 'pattern': return typeof value !== 'string' || new RegExp(String(rule), 'u').test(value) ? [] : wrong(`does not match ${String(rule)}`);
      case 'maxLength': return typeof value !== 'string' || value.length <= Number(rule) ? [] : wrong('too long');
      case 'minLength': return typeof value !== 'string' || value.length >= Number(rule) ? [] : wrong('too short');
      case 'minimum': return typeof value !== 'number' || value >= Number(rule) ? [] : wrong('too small');
      case 'maximum': return typeof value !== 'number' || value <= Number(rule) ? [] : wrong('too large');
      case 'minItems': return !Array.isArray(value) || value.length >= Number(rule) ? [] : wrong('too few');
      case 'maxItems': return !Array.isArray(value) || value.length <= Number(rule) ? [] : wrong('too many');
      case 'items': return Array.isArray(value) ? value.flatMap((each, i) => violations(each, rule as Schema, root, `${path}[${i}]`)) : [];
      case 'required': return isObject(value) ? (rule as string[]).filter(key => !(key in value)).map(key => `${path}.${key}: missing`) : [];
      case 'properties': return isObject(value) ? Object.entries(rule as Schema).flatMap(([key, sub]) => (key in value ? violations(value[key], sub as Schema, root, `${path}.${key}`) : [])) : [];
      case 'additionalProperties': return isObject(value) ? Object.keys(value).filter(key => !(key in (schema.properties as Schema))).map(key => `${path}.${key}: unknown`) : [];
      default: throw new Error(`this schema uses ${keyword}, which the test does not know`);
    }
  });
}

function resolve(root: Schema, ref: string): Schema {
  let at: unknown = root;
  for (const step of ref.replace(/^#\//, '').split('/')) at = isObject(at) ? at[step] : undefined;
  if (!isObject(at)) throw new Error(`${ref} leads nowhere`);
  return at;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  return type === 'object' ? isObject(value) : typeof value === type;
}
