//! The business services, over HTTP, as the people of a company use them: each by itself, and together.

mod finance;
mod inventory;
mod pos;
mod procurement;
mod story;

use easycode_e2e::business::{
    Person, balance, balance_in, books_agree_with_stock, books_balance, company, everything, everything_but, in_stock,
};
