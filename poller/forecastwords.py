"""A forecast in plain words, Japanese and English: what, when, how sure, resting on what."""

from datetime import date

from poller.forecast import Forecast, Reached
from poller.units import format_rate


def words(forecast: Forecast, lang: str = "ja") -> list[str]:
    """The sentences of a forecast, one for the trend, one for each share, one for the data, one for the back-test."""
    if lang == "en":
        return _english(forecast)
    return _japanese(forecast)


def _monthly(forecast: Forecast) -> str:
    return format_rate(abs(forecast.trend_per_day) * 30)


def _rises(forecast: Forecast) -> bool | None:
    """Whether it rises; None where the trend is within its own uncertainty."""
    if abs(forecast.trend_per_day) <= 2 * forecast.trend_error:
        return None
    return forecast.trend_per_day > 0


def _english(forecast: Forecast) -> list[str]:
    rises = _rises(forecast)
    trend = (
        "No clear trend." if rises is None else f"{'Rising' if rises else 'Falling'} by {_monthly(forecast)} a month."
    )
    data = f"From {forecast.days} days of data, {forecast.first} to {forecast.last}."
    if forecast.provisional:
        data += " Less than 30 days: provisional."
    test = "Too little data to test the method on the last four weeks."
    if forecast.back_test is not None:
        tested = forecast.back_test
        test = (
            f"The last {tested.days} days would have been predicted with a mean error of "
            f"{tested.mean_error_ratio:.0%}, {tested.within_ratio:.0%} of them within the bounds."
        )
    return [trend, *(_reached_english(each, forecast.last) for each in forecast.reached), data, test]


def _reached_english(reached: Reached, last: date) -> str:
    start = f"{reached.share:.0%} of the limit "
    if reached.day is None:
        early = "" if reached.earliest is None else f", at the earliest on {reached.earliest}"
        return f"{start}is not expected to be reached within three years{early}."
    if reached.day <= last:
        return f"{start}is reached already."
    latest = "later than in three years" if reached.latest is None else str(reached.latest)
    return f"{start}is expected to be reached on {reached.day} (between {reached.earliest} and {latest})."


def _japanese(forecast: Forecast) -> list[str]:
    rises = _rises(forecast)
    trend = "はっきりした増減の傾向はありません。"
    if rises is not None:
        trend = f"1か月あたり{_monthly(forecast)}の{'増加' if rises else '減少'}傾向です。"
    data = f"{forecast.first}から{forecast.last}までの{forecast.days}日分のデータによります。"
    if forecast.provisional:
        data += "30日に満たないため、参考値です。"
    test = "直近4週間での検証には、データが足りません。"
    if forecast.back_test is not None:
        test = (
            f"同じ方法で直近{forecast.back_test.days}日間を予測した場合、誤差は平均"
            f"{forecast.back_test.mean_error_ratio:.0%}、予測の範囲に入った日は{forecast.back_test.within_ratio:.0%}でした。"
        )
    return [trend, *(_reached_japanese(each, forecast.last) for each in forecast.reached), data, test]


def _reached_japanese(reached: Reached, last: date) -> str:
    start = f"上限の{reached.share:.0%}には、"
    if reached.day is None:
        early = "" if reached.earliest is None else f"（早ければ{reached.earliest}）"
        return f"{start}3年以内には達しない見込みです{early}。"
    if reached.day <= last:
        return f"{start}すでに達しています。"
    latest = "3年より先" if reached.latest is None else str(reached.latest)
    return f"{start}{reached.day}に達する見込みです（{reached.earliest}から{latest}までの間）。"
