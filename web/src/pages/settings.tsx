import { useState, type FormEvent } from 'react';
import { account, setPassword, signOut } from '../lib/account';
import { problemText } from '../lib/problem';
import { open } from '../lib/overlay';
import { prefs, setPrefs, type Theme } from '../lib/prefs';
import { navigate, place } from '../lib/router';
import { useStore } from '../lib/store';
import { Heading, Name, Notice, Segments } from '../parts/basics';
import { Places } from '../parts/places';
import u from '../styles/ui.module.css';
import { t } from '../text';
import s from './settings.module.css';

type View = 'own' | 'places';

export default function Settings() {
	const view: View = new URLSearchParams(useStore(place).search).get('view') === 'places' ? 'places' : 'own';
	return (
		<main className={u.page} id="page">
			<div className={s.head}>
				<Heading title={t.settings.title}>{t.settings.title}</Heading>
				<Segments<View>
					label={t.settings.view}
					value={view}
					options={[
						['own', t.settings.viewOwn],
						['places', t.settings.viewPlaces],
					]}
					onChange={(value) => navigate(value === 'own' ? '/settings' : '/settings?view=places')}
				/>
			</div>
			{view === 'places' && (
				<>
					<p className={s.lead}>{t.places.lead}</p>
					<Places />
				</>
			)}
			{view === 'own' && <Own />}
		</main>
	);
}

function Own() {
	const { theme, singleKeys } = useStore(prefs);
	const { user } = useStore(account);
	return (
		<div className={s.list}>
			<Password hasPassword={user?.hasPassword ?? false} name={user?.name ?? ''} />
			<section className={s.card} aria-labelledby="look">
				<h2 id="look">{t.settings.lookTitle}</h2>
				<div className={s.line}>
					<span>{t.settings.theme}</span>
					<Segments<Theme>
						label={t.settings.theme}
						value={theme}
						options={[
							['system', t.settings.themeSystem],
							['light', t.settings.themeLight],
							['dark', t.settings.themeDark],
						]}
						onChange={(value) => setPrefs({ theme: value })}
					/>
				</div>
			</section>
			<section className={s.card} aria-labelledby="keys">
				<h2 id="keys">{t.settings.keysTitle}</h2>
				<label className={s.check}>
					<input type="checkbox" checked={singleKeys} onChange={(event) => setPrefs({ singleKeys: event.target.checked })} />
					{t.settings.keysSingle}
				</label>
				<p>{t.settings.keysText}</p>
				<button type="button" className={u.button} onClick={() => open('shortcuts')}>
					{t.settings.keysList}
				</button>
			</section>
			<section className={s.card} aria-labelledby="account">
				<h2 id="account">{t.settings.accountTitle}</h2>
				<div className={s.line}>
					<span>
						{t.settings.signedInAs} <Name text={user?.displayName || user?.name || ''} />
					</span>
					<button type="button" className={u.button} onClick={() => void signOut()}>
						{t.nav.signOut}
					</button>
				</div>
			</section>
		</div>
	);
}

function Password({ hasPassword, name }: { hasPassword: boolean; name: string }) {
	const [problem, setProblem] = useState<string | null>(null);
	const [done, setDone] = useState(false);
	const submit = async (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = event.currentTarget;
		const password = String(new FormData(form).get('password') ?? '');
		const bytes = new TextEncoder().encode(password).length;
		setDone(false);
		if (bytes < 8) return setProblem(t.settings.passwordShort);
		if (bytes > 256) return setProblem(t.settings.passwordLong);
		setProblem(null);
		try {
			await setPassword(password);
			form.reset();
			setDone(true);
		} catch (error) {
			setProblem(`${t.settings.passwordFailed} ${problemText(error)}`);
		}
	};
	return (
		<section className={s.card} aria-labelledby="password">
			<h2 id="password">{t.settings.passwordTitle}</h2>
			<p>{hasPassword ? t.settings.passwordHave : t.settings.passwordNone}</p>
			<form onSubmit={(event) => void submit(event)} noValidate>
				<input type="text" name="username" autoComplete="username" value={name} readOnly hidden />
				<label className={u.field}>
					{t.settings.passwordNew}
					<input
						className={u.input}
						type="password"
						name="password"
						autoComplete="new-password"
						aria-invalid={problem ? true : undefined}
						aria-describedby="password-rule"
					/>
					<small id="password-rule">{t.settings.passwordRule}</small>
				</label>
				{problem && (
					<Notice kind="danger" role="alert">
						<p>{problem}</p>
					</Notice>
				)}
				{done && (
					<Notice kind="good" role="status">
						<p>{t.settings.passwordDone}</p>
					</Notice>
				)}
				<button type="submit" className={`${u.button} ${u.primary}`}>
					{hasPassword ? t.settings.passwordChange : t.settings.passwordSet}
				</button>
			</form>
		</section>
	);
}
