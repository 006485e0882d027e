// Plural forms by Intl.PluralRules, for the catalogues.
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

export function plurals(language: string): (count: number, forms: Forms) => string {
	const rules = new Intl.PluralRules(language);
	return (count, forms) => forms[rules.select(count)] ?? forms.other;
}
