//! Every type, at its limits.

use super::table;
use crate::conformance::case::{Case, Failure, NULL, Outcome, cases, ensure, rows, same};
use crate::conformance::world::World;
use crate::sql::Row;
use crate::{Column, DataType, ErrorKind, Table, WriteDisposition};

pub(super) fn cases() -> Vec<Case<World>> {
    cases!("types", []:
        a_value_of_every_type_comes_back,
        the_limits_of_integers_come_back,
        integers_of_every_width_come_back,
        the_limits_of_doubles_come_back,
        decimals_keep_every_digit,
        decimals_of_a_precision_keep_their_digits,
        wei_keeps_every_digit,
        dates_come_back_from_year_1_to_year_9999,
        times_come_back_to_the_microsecond,
        points_in_time_come_back_to_the_microsecond,
        local_times_come_back_as_they_are,
        bytes_come_back,
        truth_values_come_back,
    )
}

pub(super) fn without_files() -> Vec<Case<World>> {
    cases!("types", []:
        every_type_has_a_name_of_its_own_place,
        a_precision_that_cannot_be_had_is_refused,
        a_column_without_a_type_is_refused,
    )
}

/// A table `t` with one column, unless the format does not carry its type into this destination.
fn one(world: &mut World, column: Column) -> bool {
    let carried = column.data_type.is_some_and(|data_type| {
        !world.capabilities().not_carried.contains(&(world.format, data_type))
    });
    let mut one = Table::root("t", WriteDisposition::Append);
    one.put(Column { name: "c".into(), ..column });
    world.put(one);
    carried
}

/// Loads these values of one column and looks for them.
async fn comes_back(world: &mut World, column: Column, values: &[&str]) -> Outcome {
    if !one(world, column) {
        return Err(Failure::not_tried("it says that this format does not carry the type"));
    }
    let mut all: Vec<Row> = values.iter().map(|value| vec![Some((*value).to_owned())]).collect();
    all.push(vec![None]);
    world.append("t", all.clone()).await?;
    world.expect("t", &["c"], all).await
}

async fn a_value_of_every_type_comes_back(world: &mut World) -> Outcome {
    let every: Vec<(DataType, &str)> = [
        (DataType::Text, "it's \\ \"x\" 😀"),
        (DataType::Double, "1.5e300"),
        (DataType::Bool, "true"),
        (DataType::Timestamp, "2024-02-29T23:59:59.123456Z"),
        (DataType::Bigint, "9007199254740993"),
        (DataType::Binary, "00ff80"),
        (DataType::Json, "{\"a\":[1,null]}"),
        (DataType::Decimal, "1234567.125"),
        (DataType::Wei, "12345678901234567890"),
        (DataType::Date, "2024-02-29"),
        (DataType::Time, "23:59:59.123456"),
    ]
    .into_iter()
    .filter(|(data_type, _)| {
        !world.capabilities().not_carried.contains(&(world.format, *data_type))
    })
    .collect();
    let columns: Vec<(&str, DataType)> =
        every.iter().map(|(data_type, _)| (data_type.as_str(), *data_type)).collect();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    world.put(table("every", &columns));
    let all: Vec<Row> = vec![
        every.iter().map(|(_, value)| Some((*value).to_owned())).collect(),
        vec![None; every.len()],
    ];
    world.append("every", all.clone()).await?;
    world.expect("every", &names, all).await
}

async fn the_limits_of_integers_come_back(world: &mut World) -> Outcome {
    comes_back(
        world,
        Column::new("c", DataType::Bigint),
        &["9223372036854775807", "-9223372036854775808", "0", "-1", "9007199254740993"],
    )
    .await
}

async fn integers_of_every_width_come_back(world: &mut World) -> Outcome {
    let mut widths = Table::root("t", WriteDisposition::Append);
    for (name, bits) in [("tiny", 8), ("small", 16), ("middle", 32), ("big", 64)] {
        widths.put(Column::new(name, DataType::Bigint).with_precision(bits));
    }
    world.put(widths);
    let all = rows![
        ["127", "32767", "2147483647", "9223372036854775807"],
        ["-128", "-32768", "-2147483648", "-9223372036854775808"],
        [NULL, NULL, NULL, NULL],
    ];
    world.append("t", all.clone()).await?;
    world.expect("t", &["tiny", "small", "middle", "big"], all).await
}

async fn the_limits_of_doubles_come_back(world: &mut World) -> Outcome {
    comes_back(
        world,
        Column::new("c", DataType::Double),
        &[
            "1.7976931348623157e308",
            "-1.7976931348623157e308",
            "2.2250738585072014e-308",
            "0.1",
            "0.30000000000000004",
            "1e16",
            "0.0",
            "123456789.125",
        ],
    )
    .await
}

/// The greatest number of so many digits.
fn nines((precision, scale): (u32, u32)) -> String {
    let whole = "9".repeat((precision - scale) as usize);
    match scale {
        0 => whole,
        scale => format!("{whole}.{}", "9".repeat(scale as usize)),
    }
}

fn digits_of(claimed: (u32, u32), usual: (u32, u32)) -> (u32, u32) {
    if claimed.0 == 0 { usual } else { claimed }
}

async fn decimals_keep_every_digit(world: &mut World) -> Outcome {
    let greatest = nines(digits_of(world.capabilities().decimal, (38, 9)));
    let least = format!("-{greatest}");
    comes_back(
        world,
        Column::new("c", DataType::Decimal),
        &[&greatest, &least, "0", "0.5", "-1.25"],
    )
    .await
}

async fn decimals_of_a_precision_keep_their_digits(world: &mut World) -> Outcome {
    let column =
        Column { scale: Some(2), ..Column::new("c", DataType::Decimal).with_precision(10) };
    comes_back(world, column, &["99999999.99", "-99999999.99", "0.01", "1"]).await
}

async fn wei_keeps_every_digit(world: &mut World) -> Outcome {
    let greatest = nines(digits_of(world.capabilities().wei, (38, 0)));
    let least = format!("-{greatest}");
    comes_back(world, Column::new("c", DataType::Wei), &[&greatest, &least, "0", "1"]).await
}

async fn dates_come_back_from_year_1_to_year_9999(world: &mut World) -> Outcome {
    comes_back(
        world,
        Column::new("c", DataType::Date),
        &["0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "2000-02-29", "1582-10-10"],
    )
    .await
}

async fn times_come_back_to_the_microsecond(world: &mut World) -> Outcome {
    comes_back(
        world,
        Column::new("c", DataType::Time),
        &["00:00:00", "23:59:59.999999", "12:34:56", "00:00:00.000001"],
    )
    .await
}

async fn points_in_time_come_back_to_the_microsecond(world: &mut World) -> Outcome {
    comes_back(
        world,
        Column::new("c", DataType::Timestamp),
        &[
            "2024-02-29T23:59:59.123456Z",
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ],
    )
    .await
}

async fn local_times_come_back_as_they_are(world: &mut World) -> Outcome {
    let column = Column { timezone: Some(false), ..Column::new("c", DataType::Timestamp) };
    comes_back(
        world,
        column,
        &["2024-03-31T02:30:00", "2024-02-29T23:59:59.123456", "0001-01-01T00:00:00"],
    )
    .await
}

async fn bytes_come_back(world: &mut World) -> Outcome {
    let all: String = (0..=255).map(|byte| format!("{byte:02x}")).collect();
    comes_back(world, Column::new("c", DataType::Binary), &["", "00", "ff", "0a0d00275c22", &all])
        .await
}

async fn truth_values_come_back(world: &mut World) -> Outcome {
    comes_back(world, Column::new("c", DataType::Bool), &["true", "false"]).await
}

async fn every_type_has_a_name_of_its_own_place(world: &mut World) -> Outcome {
    for data_type in DataType::ALL {
        let column = Column::new("c", data_type);
        let name = world.destination.native_type(&column)?;
        ensure!(!name.is_empty(), "{data_type} has no name");
        same!(world.open()?.native_type(&column)?, name, "the name of {data_type}, asked again");
    }
    Ok(())
}

async fn a_precision_that_cannot_be_had_is_refused(world: &mut World) -> Outcome {
    let column =
        Column { scale: Some(2000), ..Column::new("c", DataType::Decimal).with_precision(1000) };
    match world.destination.native_type(&column) {
        Err(error) => same!(error.kind(), ErrorKind::Configuration, "the kind of {error:?}"),
        // A place without types of its own may have any.
        Ok(name) => ensure!(name.contains("1000"), "{name} is another type"),
    }
    Ok(())
}

async fn a_column_without_a_type_is_refused(world: &mut World) -> Outcome {
    let column = Column { data_type: None, ..Column::new("c", DataType::Text) };
    let error = world.destination.native_type(&column).err();
    ensure!(error.is_some(), "a column without a type has none");
    Ok(())
}
